// What must be equal bit for bit: an output depends on its own row and the weights, not on the rows computed
// beside it or their number.
#include "backends.h"

namespace tstitch {
namespace {

class Identities : public testing::TestWithParam<DType> {
 protected:
  DType dtype() const { return GetParam(); }
};

INSTANTIATE_TEST_SUITE_P(, Identities, testing::Values(DType::f32, DType::bf16),
                         [](const auto& test) { return std::string(name_of(test.param)); });

// Any strip of the rows of a picture alone; one picture alone. The larger pictures are more than a CPU
// computes at once, their strips are not.
TEST_P(Identities, StripsAndCompanyDoNotChangeAConvolution) {
  for (const auto& [height, width, inputs, M] :
       {std::array<int64_t, 4>{13, 9, 40, 70}, {16, 9, 40, 32}, {24, 30, 700, 5}}) {
    const int64_t outputs = M;  // clang 14 cannot capture a binding
    const Tensor x = random_tensor({2, height, width, inputs}, 1, dtype()),
                 w = random_tensor({outputs, inputs, 3, 3}, 2, dtype()), b = random_tensor({2, outputs}, 3);
    for (const auto& backend : tested_backends(dtype())) {
      SCOPED_TRACE(backend->description());
      const auto packed = backend->pack_conv2d(w, Tensor());
      for (const bool upsample : {false, true}) {
        const auto convolve = [&](int64_t n, int64_t images, int64_t begin, int64_t end) {
          const Tensor bias = b.slice(n, n + images);
          return conv2d(*backend, x.slice(n, n + images), *packed,
                        {.pad_before = 1,
                         .pad_after = 1,
                         .upsample = upsample,
                         .image_bias = &bias,
                         .begin = begin,
                         .end = end},
                        Activation::none, DType::f32);
        };
        const Tensor whole = convolve(0, 2, 0, -1);
        for (const int64_t n : {0, 1}) {
          const Tensor image = whole.slice(n, n + 1);
          const Tensor rows = image.reshape({image.extent(1), image.extent(2), outputs});
          for (const auto& [begin, end] : {std::array<int64_t, 2>{0, -1}, {0, 1}, {3, 8}, {12, 13}}) {
            const Tensor strip = convolve(n, 1, begin, end);
            expect_equal(strip.reshape({strip.extent(1), strip.extent(2), outputs}),
                         rows.slice(begin, end < 0 ? rows.extent(0) : end));
          }
        }
      }
    }
  }
}

// A picture whose moments were taken in strips has the same norm.
TEST_P(Identities, StripsDoNotChangeAGroupNorm) {
  const Tensor x = random_tensor({1, 13, 9, 40}, 1, dtype()), c = random_tensor({40}, 3);
  const Tensor rows = x.reshape({13, 9, 40});
  for (const auto& backend : tested_backends(dtype())) {
    SCOPED_TRACE(backend->description());
    const Tensor whole[] = {group_moments(*backend, x, 8)};
    const Tensor strips[] = {group_moments(*backend, rows.slice(0, 5).reshape({1, 5, 9, 40}), 8),
                             group_moments(*backend, rows.slice(5, 13).reshape({1, 8, 9, 40}), 8)};
    expect_equal(group_norm_scale_shift(*backend, strips, c, c, 1e-6),
                 group_norm_scale_shift(*backend, whole, c, c, 1e-6));
  }
}

// The first rows alone, as many as there are heights of a block of registers, and more.
TEST_P(Identities, TheNumberOfRowsDoesNotChangeThem) {
  const Tensor x = random_tensor({40, 64}, 1, dtype()), w = random_tensor({40, 64}, 2, dtype());
  const Tensor qkv = random_tensor({1, 40, 3 * 48}, 3, dtype());
  const auto [q, k, v] = chunk<3>(qkv);
  for (const auto& backend : tested_backends(dtype())) {
    SCOPED_TRACE(backend->description());
    const auto packed = backend->pack_linear(w, Tensor());
    const Tensor all = linear(*backend, x, *packed, Activation::none, DType::f32);
    const Tensor all_attended = attention(*backend, q, k, v, 2).reshape({40, 48});
    for (int64_t rows = 1; rows < 40; ++rows) {
      expect_equal(linear(*backend, x.slice(0, rows), *packed, Activation::none, DType::f32),
                   all.slice(0, rows));
      const Tensor queries = q.reshape({40, 48}).slice(0, rows).reshape({1, rows, 48});
      expect_equal(attention(*backend, queries, k, v, 2).reshape({rows, 48}), all_attended.slice(0, rows));
    }
  }
}

// One image of 49 tokens alone, and at each place among 8.
TEST_P(Identities, CompanyDoesNotChangeALinearMap) {
  const Tensor images = random_tensor({8, 49, 200}, 1, dtype()), w = random_tensor({100, 200}, 2, dtype()),
               b = random_tensor({100}, 3);
  for (const auto& backend : tested_backends(dtype())) {
    SCOPED_TRACE(backend->description());
    const auto packed = backend->pack_linear(w, b);
    const Tensor together = linear(*backend, images, *packed, Activation::silu, DType::f32);
    for (int64_t n = 0; n < 8; ++n)
      expect_equal(linear(*backend, images.slice(n, n + 1), *packed, Activation::silu, DType::f32),
                   together.slice(n, n + 1));
    const Tensor rows = images.reshape({8 * 49, 200});
    for (int64_t row = 0; row < 30; ++row)
      expect_equal(linear(*backend, rows.slice(row, row + 1), *packed, Activation::silu, DType::f32),
                   together.reshape({8 * 49, 100}).slice(row, row + 1));
  }
}

TEST_P(Identities, CompanyDoesNotChangeAttention) {
  const Tensor qkv = random_tensor({8, 49, 3 * 48}, 1, dtype());
  const auto [q, k, v] = chunk<3>(qkv);
  for (const auto& backend : tested_backends(dtype())) {
    SCOPED_TRACE(backend->description());
    const Tensor together = attention(*backend, q, k, v, 3);
    for (int64_t n = 0; n < 8; ++n)
      expect_equal(attention(*backend, q.slice(n, n + 1), k.slice(n, n + 1), v.slice(n, n + 1), 3),
                   together.slice(n, n + 1));
  }
}

// Neither do heads: keys that are packed for several of them, and queries that share them, in parts.
TEST_P(Identities, CompanyDoesNotChangeLongAttention) {
  constexpr int64_t kHeads = 3, kWidth = 64;
  const Tensor q = random_tensor({1, 300, kHeads * kWidth}, 1, dtype()),
               keys_values = random_tensor({1, 6000, 2 * kHeads * kWidth}, 2, dtype());
  const auto [k, v] = chunk<2>(keys_values);
  for (const auto& backend : tested_backends(dtype())) {
    SCOPED_TRACE(backend->description());
    const Tensor together = attention(*backend, q, k, v, kHeads);
    for (const int64_t head : {0, 2}) {
      const auto of_head = [&](const Tensor& x) {
        return x.slice_columns(head * kWidth, (head + 1) * kWidth);
      };
      const Tensor alone = attention(*backend, of_head(q), of_head(k), of_head(v), 1);
      expect_equal(repeat(*backend, alone, 1), repeat(*backend, of_head(together), 1));
      const Tensor queries = of_head(q).reshape({300, kWidth}).slice(290, 300);
      expect_equal(attention(*backend, queries.reshape({1, 10, kWidth}), of_head(k), of_head(v), 1)
                       .reshape({10, kWidth}),
                   repeat(*backend, alone, 1).reshape({300, kWidth}).slice(290, 300));
    }
  }
}

// Images with keys of their own, of one prompt beside each other and apart, of another length, and at odd
// places.
TEST_P(Identities, CompanyDoesNotChangeCrossAttention) {
  for (const int64_t d : {16, 12}) {
    const int64_t D = 3 * d;
    const Tensor q = random_tensor({8, 5, D}, 1, dtype()), a = random_tensor({77, 2 * D}, 2, dtype()),
                 b = random_tensor({77, 2 * D}, 3, dtype()), c = random_tensor({154, 2 * D}, 4, dtype()),
                 odd = with_strided_rows(random_tensor({77, 2 * D}, 5, dtype()), 1);
    const Tensor* const prompts[] = {&a, &a, &a, &odd, &b, &a, &c, &c};
    for (const auto& backend : tested_backends(dtype())) {
      SCOPED_TRACE(backend->description());
      const Tensor together = cross_attention(*backend, q, prompts, 3);
      for (const auto& [begin, end] : {std::array<int64_t, 2>{0, 1},
                                       {1, 2},
                                       {2, 3},
                                       {3, 4},
                                       {4, 5},
                                       {5, 6},
                                       {6, 7},
                                       {7, 8},
                                       {0, 2},
                                       {1, 5},
                                       {4, 8}})
        expect_equal(
            cross_attention(
                *backend, q.slice(begin, end),
                std::span(prompts).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)), 3),
            together.slice(begin, end));
    }
  }
}

TEST_P(Identities, CompanyDoesNotChangeGatedMapsAndNorms) {
  const Tensor x = random_tensor({8, 20, 72}, 1), m = random_tensor({8, 72}, 2),
               w = random_tensor({72, 72}, 3, dtype());
  for (const auto& backend : tested_backends(dtype())) {
    SCOPED_TRACE(backend->description());
    const auto packed = backend->pack_linear(w, Tensor());
    const auto block = [&](const Tensor& image, const Tensor& modulation) {
      Tensor sum = repeat(*backend, image, 1);
      add_gated_linear(*backend, sum, modulation, modulated_norm(*backend, image, modulation, modulation),
                       *packed);
      return sum;
    };
    const Tensor together = block(x, m);
    for (int64_t n = 0; n < 8; ++n)
      expect_equal(block(x.slice(n, n + 1), m.slice(n, n + 1)), together.slice(n, n + 1));
  }
}

}  // namespace
}  // namespace tstitch
