// Every operation of every backend that is tested, against the reference: odd sizes, tails,
// single rows, strided rows, and the sizes of the published networks.
#include "backends.h"
#include "conv_cases.h"

namespace tstitch {
namespace {

// A sum of K products of deviates of deviation 1 and 1/sqrt(K) is of order 1 and carries, in f32, about
// sqrt(K) 2^-24 of rounding: 4e-6 for the longest here.
constexpr double kSum = 2e-5;
// Results rounded to bf16 may fall to either side: one unit in the last of 8 bits.
constexpr double kRounding = 1. / 128;

class Conformance : public testing::TestWithParam<DType> {
 protected:
  DType dtype() const { return GetParam(); }
  // Of a linear map or convolution: beside its own, what the device rounds.
  Tolerance sum(Tolerance own) const {
    const Tolerance rounding = rounding_of_sums(dtype());
    return {own.absolute + rounding.absolute, own.relative + rounding.relative};
  }
  Tolerance sum_of(DType out) const { return sum({kSum, out == DType::bf16 ? kRounding : 2e-6}); }

  // compute(backend) is the same for all of them.
  template <class F>
  void expect_conforms(Tolerance tolerance, const F& compute) {
    const Tensor expected = compute(reference_);
    for (const auto& backend : backends_) {
      SCOPED_TRACE(backend->description());
      expect_close(compute(*backend), expected, tolerance);
    }
  }

 private:
  ReferenceBackend reference_{GetParam()};
  std::vector<std::unique_ptr<Backend>> backends_ = tested_backends(GetParam());
};

INSTANTIATE_TEST_SUITE_P(, Conformance, testing::Values(DType::f32, DType::bf16),
                         [](const auto& test) { return std::string(name_of(test.param)); });

struct LinearCase {
  int64_t rows, inputs, outputs;
};

constexpr LinearCase kLinearCases[] = {
    {1, 1, 1},       {1, 2, 3},       {3, 7, 5},      {5, 16, 31},    {13, 33, 32},
    {14, 64, 33},    {15, 40, 65},    {29, 96, 64},   {49, 256, 96},  {2, 256, 384},
    {16, 384, 1152}, {17, 384, 1536}, {6, 1536, 384}, {20, 1152, 32}, {7, 1152, 3456},
    {4, 4608, 1152}, {129, 129, 129}, {15, 2048, 33}, {512, 16, 64},
};

TEST_P(Conformance, Linear) {
  uint32_t seed = 1;
  for (const auto [rows, inputs, outputs] : kLinearCases) {
    SCOPED_TRACE(testing::Message() << rows << " x " << inputs << " -> " << outputs);
    const Tensor x = random_tensor({rows, inputs}, ++seed, dtype());
    const Tensor w =
        random_tensor({outputs, inputs}, ++seed, dtype(), 1 / std::sqrt(static_cast<double>(inputs)));
    const Tensor b = random_tensor({outputs}, ++seed);
    expect_conforms(sum_of(dtype()), [&](Backend& backend) {
      return linear(backend, x, *backend.pack_linear(w, b), Activation::none, dtype());
    });
  }
}

TEST_P(Conformance, LinearWithEveryTypeActivationAndStride) {
  const Tensor w = random_tensor({75, 46}, 1, DType::f32, 0.15), b = random_tensor({75}, 2);
  for (const DType in : {DType::f32, DType::bf16})
    for (const DType out : {DType::f32, DType::bf16})
      for (const Activation act : {Activation::none, Activation::gelu_tanh, Activation::gelu,
                                   Activation::quick_gelu, Activation::silu})
        for (const int64_t padding : {0, 1, 18}) {
          SCOPED_TRACE(testing::Message() << name_of(in) << " to " << name_of(out) << ", activation "
                                          << static_cast<int>(act) << ", padding " << padding);
          const Tensor x = with_strided_rows(random_tensor({2, 9, 46}, 3, in, 3), padding);
          expect_conforms(sum_of(out), [&](Backend& backend) {
            return linear(backend, x, *backend.pack_linear(w, b), act, out);
          });
        }
}

TEST_P(Conformance, LinearWithoutBias) {
  const Tensor x = random_tensor({3, 20}, 1, dtype()), w = random_tensor({40, 20}, 2, dtype(), 0.2);
  expect_conforms(sum_of(DType::f32), [&](Backend& backend) {
    return linear(backend, x, *backend.pack_linear(w, Tensor()), Activation::none, DType::f32);
  });
}

// The activations over their whole range, through a map that copies.
TEST_P(Conformance, ActivationsOverTheirRange) {
  const Tensor x = random_tensor({64, 1}, 1, DType::f32, 30);
  const Tensor one = make_tensor<float>({1, 1}, std::vector{1.f});
  for (const Activation act :
       {Activation::gelu_tanh, Activation::gelu, Activation::quick_gelu, Activation::silu, Activation::relu})
    expect_conforms({1e-6, 3e-6}, [&](Backend& backend) {
      return linear(backend, x, *backend.pack_linear(one, Tensor()), act, DType::f32);
    });
}

TEST_P(Conformance, AddGatedLinear) {
  uint32_t seed = 1;
  for (const auto& [N, T, K, M] :
       {std::array<int64_t, 4>{1, 1, 5, 3}, {2, 9, 40, 33}, {3, 16, 96, 70}, {2, 5, 1536, 384}}) {
    const Tensor x = random_tensor({N, T, K}, ++seed, dtype());
    const Tensor w = random_tensor({M, K}, ++seed, dtype(), 1 / std::sqrt(static_cast<double>(K)));
    const Tensor b = random_tensor({M}, ++seed), residual = random_tensor({N, T, M}, ++seed);
    const Tensor gate = with_strided_rows(random_tensor({N, M}, ++seed), 5 * M);
    expect_conforms(sum({2 * kSum, 2e-6}), [&](Backend& backend) {
      Tensor sum = repeat(backend, residual, 1);
      add_gated_linear(backend, sum, gate, x, *backend.pack_linear(w, b));
      return sum;
    });
  }
}

TEST_P(Conformance, AddLinear) {
  uint32_t seed = 1;
  for (const auto& [rows, K, M] :
       {std::array<int64_t, 3>{1, 5, 3}, {18, 40, 33}, {48, 96, 70}, {5, 1536, 384}}) {
    const Tensor x = with_strided_rows(random_tensor({2, rows, K}, ++seed, dtype()), 3);
    const Tensor w = random_tensor({M, K}, ++seed, dtype(), 1 / std::sqrt(static_cast<double>(K)));
    const Tensor b = random_tensor({M}, ++seed);
    for (const DType type : {DType::f32, DType::bf16}) {
      const Tensor sum = random_tensor({2, rows, M}, ++seed, type);
      expect_conforms(sum_of(type), [&](Backend& backend) {
        Tensor y = repeat(backend, sum, 1);
        add_linear(backend, y, x, *backend.pack_linear(w, b));
        return y;
      });
    }
  }
}

TEST_P(Conformance, Conv2d) {
  uint32_t seed = 1;
  for (const auto& [N, H, W, C, M, k, path_] : kConvCases) {
    const Conv2dPath& path = path_;
    SCOPED_TRACE(testing::Message() << N << " x " << H << " x " << W << " x " << C << " -> " << M
                                    << ", kernel " << k.height << " x " << k.width << ", stride "
                                    << path.stride);
    const Tensor x = random_tensor({N, H, W, C}, ++seed, dtype());
    const Tensor w = random_tensor({M, C, k.height, k.width}, ++seed, dtype(),
                                   1 / std::sqrt(static_cast<double>(C * k.height * k.width)));
    const Tensor b = random_tensor({M}, ++seed);
    expect_conforms(sum_of(dtype()), [&](Backend& backend) {
      return conv2d(backend, x, *backend.pack_conv2d(w, b), path, Activation::none, dtype());
    });
  }
}

TEST_P(Conformance, Conv2dOfTheNormalisedWithEveryTypeActivationAndStride) {
  const Tensor w = random_tensor({37, 22, 3, 3}, 1, DType::f32, 0.07), b = random_tensor({37}, 2);
  const Tensor norm = random_tensor({2, 2, 22}, 4), bias = with_strided_rows(random_tensor({2, 37}, 5), 37);
  // An activated input that falls to the other side in bf16 moves a sum by 2^-9 of one of 200 terms.
  const double terms = dtype() == DType::bf16 ? 4e-3 : kSum;
  for (const DType in : {DType::f32, DType::bf16})
    for (const DType out : {DType::f32, DType::bf16})
      for (const Activation act :
           {Activation::none, Activation::gelu_tanh, Activation::silu, Activation::relu})
        for (const int64_t padding : {0, 5}) {
          SCOPED_TRACE(testing::Message() << name_of(in) << " to " << name_of(out) << ", activation "
                                          << static_cast<int>(act) << ", padding " << padding);
          const Tensor x = with_strided_rows(random_tensor({2, 9, 6, 22}, 3, in), padding);
          const Conv2dPath path = {
              .pad_before = 1, .pad_after = 1, .norm = &norm, .act = act, .image_bias = &bias};
          expect_conforms(sum({terms, out == DType::bf16 ? kRounding : 2e-6}), [&](Backend& backend) {
            return conv2d(backend, x, *backend.pack_conv2d(w, b), path, act, out);
          });
        }
}

// Side by side, as branches leave what they computed; nothing else is touched.
TEST_P(Conformance, Conv2dAndPoolIntoColumns) {
  const Tensor w = random_tensor({37, 22, 1, 3}, 1, dtype(), 0.1),
               x = random_tensor({2, 9, 6, 22}, 2, dtype());
  expect_conforms(sum_of(dtype()), [&](Backend& backend) {
    Tensor both = repeat(backend, random_tensor({2, 9, 6, 60}, 3, dtype()), 1);
    Tensor left = both.slice_columns(0, 37), right = both.slice_columns(37, 59);
    conv2d_into(backend, left, x, *backend.pack_conv2d(w, Tensor()),
                {.pad_before = {0, 1}, .pad_after = {0, 1}}, Activation::relu);
    pool_into(backend, right, x, {.window = 3, .pad = 1});
    return both;
  });
}

TEST_P(Conformance, Pool) {
  uint32_t seed = 1;
  for (const auto of : {PoolPath::Of::max, PoolPath::Of::mean})
    for (const auto& [N, H, W, C, window, stride, pad] : {std::array<int64_t, 7>{1, 1, 1, 1, 1, 1, 0},
                                                          {2, 7, 9, 35, 3, 2, 0},
                                                          {2, 6, 5, 17, 3, 1, 1},
                                                          {1, 8, 8, 64, 8, 1, 0},
                                                          {1, 1, 2, 3, 3, 1, 1},
                                                          {1, 9, 8, 20, 4, 3, 2},
                                                          {1, 40, 40, 64, 3, 1, 1}}) {
      const PoolPath path = {.of = of, .window = window, .stride = stride, .pad = pad};
      SCOPED_TRACE(testing::Message() << H << " x " << W << " x " << C << ", window " << window);
      const Tensor x = with_strided_rows(random_tensor({N, H, W, C}, ++seed, dtype()), 3);
      const bool exact = of == PoolPath::Of::max;
      expect_conforms({exact ? 1e-300 : 1e-6, exact                    ? 0
                                              : dtype() == DType::bf16 ? kRounding
                                                                       : 2e-6},
                      [&](Backend& backend) { return pool(backend, x, path); });
    }
}

TEST_P(Conformance, AddConv2d) {
  const Tensor w = random_tensor({37, 22, 3, 3}, 1, dtype(), 0.07),
               x = random_tensor({2, 9, 6, 22}, 2, dtype());
  for (const DType type : {DType::f32, DType::bf16})
    for (const Activation act : {Activation::none, Activation::relu}) {
      const Tensor sum = random_tensor({2, 9, 6, 37}, 3, type);
      expect_conforms(sum_of(type), [&](Backend& backend) {
        Tensor y = repeat(backend, sum, 1);
        add_conv2d(backend, y, x, *backend.pack_conv2d(w, Tensor()), {.pad_before = 1, .pad_after = 1}, act);
        return y;
      });
    }
}

TEST_P(Conformance, GroupNorm) {
  uint32_t seed = 1;
  for (const auto& [N, H, W, C, groups] : {std::array<int64_t, 5>{1, 1, 1, 4, 1},
                                           {2, 5, 3, 32, 32},
                                           {1, 7, 9, 64, 32},
                                           {2, 4, 6, 320, 32},
                                           {1, 3, 200, 128, 32},
                                           {1, 8, 8, 33, 3}}) {
    const int64_t g = groups;
    SCOPED_TRACE(testing::Message() << N << " x " << H << " x " << W << " x " << C);
    Tensor x = random_tensor({N, H, W, C}, ++seed);
    for (int64_t i = 0; i < x.elements(); ++i) x.data<float>()[i] += static_cast<float>(i % C % 7 * 10);
    const Tensor gamma = random_tensor({C}, ++seed), beta = random_tensor({C}, ++seed);
    for (const DType in : {DType::f32, DType::bf16}) {
      const Tensor rows = with_strided_rows(in == DType::f32 ? x : ReferenceBackend().cast(x, in), 3);
      expect_conforms({1e-5, 2e-5}, [&](Backend& backend) { return group_moments(backend, rows, g); });
      const auto norm_of = [&](Backend& backend) {
        const Tensor moments = group_moments(backend, rows, g);
        return group_norm_scale_shift(backend, {&moments, 1}, gamma, beta, 1e-6);
      };
      expect_conforms({2e-4, 2e-5}, norm_of);
      const Tensor norm = norm_of(*tested_backends(dtype())[0]);
      for (const Activation act : {Activation::none, Activation::silu})
        expect_conforms({1e-5, dtype() == DType::bf16 ? kRounding : 1e-5},
                        [&](Backend& backend) { return scale_shift(backend, rows, norm, act); });
    }
  }
}

TEST_P(Conformance, Clamp) {
  const Tensor x = with_strided_rows(random_tensor({3, 40}, 1, DType::f32, 9), 2);
  expect_conforms({1e-6, 1e-6}, [&](Backend& backend) { return soft_clamp(backend, x, 3); });
  expect_conforms({1e-300, 0}, [&](Backend& backend) { return clamp(backend, x, -3, 5); });
}

struct AttentionCase {
  int64_t N, T, S, heads, d;
};

constexpr AttentionCase kAttentionCases[] = {
    {1, 1, 1, 1, 4},     {2, 3, 1, 2, 5},      {1, 16, 16, 6, 64},   {2, 49, 49, 3, 16},
    {1, 50, 77, 2, 40},  {1, 31, 257, 2, 72},  {2, 256, 256, 2, 72}, {1, 20, 1024, 1, 64},
    {1, 5, 300, 1, 512}, {1, 300, 515, 1, 32}, {1, 28, 4096, 1, 33}, {2, 20, 77, 2, 160},
};

TEST_P(Conformance, Attention) {
  uint32_t seed = 1;
  for (const auto& [N, T, S, H, d] : kAttentionCases) {
    const int64_t heads = H;  // clang 14 cannot capture a binding
    SCOPED_TRACE(testing::Message() << N << " images, " << T << " queries, " << S << " keys, " << heads
                                    << " heads of " << d);
    const int64_t D = heads * d;
    const Tensor q = with_strided_rows(random_tensor({N, T, D}, ++seed, dtype(), 2), 2 * D);
    const Tensor k = with_strided_rows(random_tensor({N, S, D}, ++seed, dtype(), 2), D + 1);
    const Tensor v = random_tensor({N, S, D}, ++seed, dtype());
    // In bf16 the weights of the values are rounded to 8 bits, values of order 1.
    const Tolerance tolerance =
        dtype() == DType::bf16 ? Tolerance{1. / 200, kRounding} : Tolerance{1e-5, 1e-5};
    expect_conforms(tolerance, [&](Backend& backend) { return attention(backend, q, k, v, heads); });
    // As chunks of one product, which begin at 16 bytes where D does: a device's library may do those.
    const Tensor chunks[] = {q, with_strided_rows(k, 2 * D), with_strided_rows(v, 2 * D)};
    expect_conforms(tolerance, [&](Backend& backend) {
      return attention(backend, chunks[0], chunks[1], chunks[2], heads);
    });
  }
}

// Keys and values of every image's own, of different lengths, one of them shared.
TEST_P(Conformance, CrossAttention) {
  for (const auto& [H, d] : {std::pair<int64_t, int64_t>{1, 4}, {5, 16}, {2, 72}}) {
    const int64_t heads = H, D = heads * d;
    const Tensor q = with_strided_rows(random_tensor({8, 5, D}, 1, dtype(), 2), D);
    // Some begin at 16 bytes, which the library of a device may want, and some do not.
    const Tensor a = with_strided_rows(random_tensor({77, 2 * D}, 2, dtype(), 2), 16),
                 b = random_tensor({1, 2 * D}, 3, dtype()), c = random_tensor({300, 2 * D}, 4, dtype()),
                 odd = with_strided_rows(random_tensor({9, 2 * D}, 5, dtype()), 1);
    const Tensor* const keys_values[] = {&a, &a, &a, &b, &odd, &a, &c, &odd};
    const Tolerance tolerance =
        dtype() == DType::bf16 ? Tolerance{1. / 200, kRounding} : Tolerance{1e-5, 1e-5};
    expect_conforms(tolerance,
                    [&](Backend& backend) { return cross_attention(backend, q, keys_values, heads); });
  }
}

TEST_P(Conformance, CausalAttention) {
  uint32_t seed = 1;
  for (const auto& [N, T, H, d] :
       {std::array<int64_t, 4>{1, 1, 1, 4}, {2, 5, 3, 8}, {1, 77, 2, 64}, {2, 154, 1, 20}}) {
    const int64_t heads = H, D = heads * d;
    const Tensor q = with_strided_rows(random_tensor({N, T, D}, ++seed, dtype(), 2), 2 * D);
    const Tensor k = with_strided_rows(random_tensor({N, T, D}, ++seed, dtype(), 2), D + 1);
    const Tensor v = random_tensor({N, T, D}, ++seed, dtype());
    const Tolerance tolerance =
        dtype() == DType::bf16 ? Tolerance{1. / 200, kRounding} : Tolerance{1e-5, 1e-5};
    expect_conforms(tolerance, [&](Backend& backend) { return causal_attention(backend, q, k, v, heads); });
  }
}

// Scores far apart: the largest comes last, and exp must neither overflow nor lose it.
TEST_P(Conformance, AttentionWithLargeScores) {
  const Tensor q = random_tensor({1, 17, 64}, 1, dtype(), 40),
               k = random_tensor({1, 600, 64}, 2, dtype(), 40);
  const Tensor v = random_tensor({1, 600, 64}, 3, dtype());
  // Scores of order 10^4 carry an f32 rounding of 10^-3, and so do their exponentials.
  expect_conforms({4e-3, kRounding}, [&](Backend& backend) { return attention(backend, q, k, v, 1); });
}

TEST_P(Conformance, ModulatedNorm) {
  uint32_t seed = 1;
  for (const auto& [N, T, D] :
       {std::array<int64_t, 3>{1, 1, 1}, {1, 2, 3}, {2, 5, 17}, {3, 9, 64}, {2, 100, 384}, {2, 16, 1152}}) {
    Tensor x = random_tensor({N, T, D}, ++seed);
    for (int64_t i = 0; i < x.elements(); ++i) x.data<float>()[i] += 3;
    const Tensor shift = with_strided_rows(random_tensor({N, D}, ++seed), 5 * D);
    const Tensor scale = with_strided_rows(random_tensor({N, D}, ++seed), 5 * D);
    for (const Tensor& rows : {x, with_strided_rows(x, 7)})
      expect_conforms({1e-5, dtype() == DType::bf16 ? kRounding : 1e-5},
                      [&](Backend& backend) { return modulated_norm(backend, rows, shift, scale, 1e-6); });
  }
}

TEST_P(Conformance, LayerNorm) {
  uint32_t seed = 1;
  for (const auto& [rows, D] :
       {std::array<int64_t, 2>{1, 1}, {2, 3}, {5, 17}, {9, 64}, {100, 320}, {77, 768}}) {
    Tensor x = random_tensor({2, rows, D}, ++seed);
    for (int64_t i = 0; i < x.elements(); ++i) x.data<float>()[i] += 3;
    const Tensor gamma = random_tensor({D}, ++seed), beta = random_tensor({D}, ++seed);
    for (const Tensor& strided : {x, with_strided_rows(x, 7)})
      expect_conforms({1e-5, dtype() == DType::bf16 ? kRounding : 1e-5},
                      [&](Backend& backend) { return layer_norm(backend, strided, gamma, beta); });
  }
}

TEST_P(Conformance, Geglu) {
  for (const int64_t D : {1, 15, 16, 33, 1280})
    for (const DType in : {DType::f32, DType::bf16})
      for (const double deviation : {0.01, 1., 4.}) {
        const Tensor x = with_strided_rows(random_tensor({2, 3, 2 * D}, 1, in, deviation), 5);
        // The gate's own error is 1e-7 of its argument, times what it gates.
        expect_conforms(
            {1e-6 * std::max(1., deviation * deviation), dtype() == DType::bf16 ? kRounding : 3e-6},
            [&](Backend& backend) { return geglu(backend, x); });
      }
}

TEST_P(Conformance, AddRows) {
  const Tensor x = random_tensor({3, 16, 37}, 1), y = random_tensor({16, 37}, 2);
  expect_conforms({0, 1e-7}, [&](Backend& backend) {
    Tensor sum = repeat(backend, x, 1);
    add_rows(backend, sum, y);
    return sum;
  });
}

TEST_P(Conformance, Gather) {
  const Tensor table = with_strided_rows(random_tensor({11, 19}, 1), 3);
  const std::vector<int64_t> rows = {10, 0, 3, 3};
  expect_conforms({1e-300, 0}, [&](Backend& backend) { return gather(backend, table, rows); });
  expect_conforms({1e-300, 0}, [&](Backend& backend) {
    Tensor other = repeat(backend, table, 1);
    scatter(backend, other, rows, gather(backend, random_tensor(table.shape(), 9), rows));
    return other;
  });
}

TEST_P(Conformance, MeanRows) {
  const std::vector<int64_t> ends = {1, 4, 6, 7}, rows = {10, 0, 3, 3, 7, 1, 2};
  const Tensor x = with_strided_rows(random_tensor({11, 37}, 1, dtype()), 3);
  expect_conforms({1e-300, 0}, [&](Backend& backend) { return mean_rows(backend, x, ends, rows); });
}

TEST_P(Conformance, NearestRows) {
  const Tensor table = with_strided_rows(random_tensor({301, 4}, 1), 2);
  const Tensor x = with_strided_rows(random_tensor({2, 5, 7, 4}, 2), 3);
  expect_conforms({1e-300, 0}, [&](Backend& backend) { return nearest_rows(backend, x, table); });
  Tensor ends({2, 1}, DType::f32), middle({1, 1}, DType::f32);  // as far from the one as from the other
  ends.data<float>()[0] = 1;
  ends.data<float>()[1] = -1;
  middle.data<float>()[0] = 0;
  expect_conforms({1e-300, 0}, [&](Backend& backend) { return nearest_rows(backend, middle, ends); });
  EXPECT_EQ(*nearest_rows(*make_backend({.device = "reference"}), middle, ends).data<float>(), 1);
}

TEST_P(Conformance, TimestepEmbedding) {
  const std::vector<double> t = {0, 1, 13.5, 999};
  expect_conforms({1e-6, 0}, [&](Backend& backend) { return timestep_embedding(backend, t, 256); });
  expect_conforms({1e-6, 0}, [&](Backend& backend) { return timestep_embedding(backend, t, 2); });
}

TEST_P(Conformance, Silu) {
  for (const int64_t columns : {1, 15, 16, 384, 20011}) {
    const Tensor x = with_strided_rows(random_tensor({3, columns}, 1, DType::f32, 20), 2);
    expect_conforms({1e-6, 1e-6}, [&](Backend& backend) { return silu(backend, x); });
  }
}

TEST_P(Conformance, Cast) {
  for (const int64_t columns : {1, 15, 16, 384, 20011}) {
    const Tensor x = with_strided_rows(random_tensor({3, columns}, 1), 2);
    expect_conforms({1e-300, 0}, [&](Backend& backend) { return backend.cast(x, DType::bf16); });
    const Tensor y = with_strided_rows(random_tensor({3, columns}, 1, DType::bf16), 3);
    expect_conforms({1e-300, 0}, [&](Backend& backend) { return backend.cast(y, DType::f32); });
  }
}

TEST_P(Conformance, NanStaysNan) {
  const float nan = std::nanf("");
  Tensor x = random_tensor({1, 2, 33}, 1);
  x.data<float>()[40] = nan;
  const Tensor w = random_tensor({20, 33}, 2), modulation = random_tensor({1, 33}, 3);
  for (const auto& backend : tested_backends(dtype())) {
    SCOPED_TRACE(backend->description());
    EXPECT_TRUE(std::isnan(element(silu(*backend, x), 1, 7)));
    EXPECT_TRUE(std::isnan(element(backend->cast(x, DType::bf16), 1, 7)));
    EXPECT_TRUE(std::isnan(element(modulated_norm(*backend, x, modulation, modulation), 1, 0)));
    EXPECT_TRUE(std::isnan(element(geglu(*backend, x.slice_columns(0, 32)), 1, 7)));
    const Tensor y = linear(*backend, x, *backend->pack_linear(w, Tensor()), Activation::gelu_tanh, dtype());
    EXPECT_TRUE(std::isnan(element(y, 1, 19)));
    EXPECT_FALSE(std::isnan(element(y, 0, 19)));
  }
}

TEST_P(Conformance, Combine) {
  const Tensor a = with_strided_rows(random_tensor({2, 5, 7}, 1), 4), b = random_tensor({2, 5, 7}, 2);
  expect_conforms({1e-300, 0}, [&](Backend& backend) {
    return combine(backend, {{0.3, &a}, {-1.7, &b}, {1, &a}}, 0.125);
  });
  expect_conforms({1e-300, 0}, [&](Backend& backend) { return combine(backend, {{1, &a}}); });
}

TEST_P(Conformance, AddNoise) {
  const Tensor mean = random_tensor({2, 8, 8, 4}, 1), noise = random_tensor({2, 8, 8, 4}, 2);
  const Tensor log_variance = with_strided_rows(random_tensor({2, 8, 8, 4}, 3), 4);
  expect_conforms({1e-6, 1e-6},
                  [&](Backend& backend) { return add_noise(backend, mean, log_variance, noise); });
}

TEST_P(Conformance, Guide) {
  const Tensor c = with_strided_rows(random_tensor({2, 8, 8, 4}, 1), 4),
               u = with_strided_rows(random_tensor({2, 8, 8, 4}, 2), 4);
  for (const int64_t channels : {0, 3, 4})
    expect_conforms({1e-300, 0}, [&](Backend& backend) { return guide(backend, c, u, 4.5, channels); });
}

TEST_P(Conformance, Layout) {
  const Tensor x = random_tensor({2, 12, 8, 3}, 1), strided = with_strided_rows(x, 3);
  const Tensor tokens = with_strided_rows(random_tensor({2, 6, 16 * 3}, 2), 5);
  const Tolerance exact = {1e-300, 0};
  for (const int64_t p : {1, 2, 4})
    expect_conforms(exact, [&](Backend& backend) { return patchify(backend, strided, p); });
  expect_conforms(exact, [&](Backend& backend) { return unpatchify(backend, tokens, 4, 12, 8); });
  expect_conforms(exact, [&](Backend& backend) { return to_channels_last(backend, strided); });
  expect_conforms(exact, [&](Backend& backend) { return to_channels_first(backend, strided); });
  expect_conforms(exact, [&](Backend& backend) { return repeat(backend, strided, 3); });
  const Tensor parts[] = {strided, strided.slice(0, 1), repeat(*tested_backends(DType::f32)[0], strided, 2)};
  expect_conforms(exact, [&](Backend& backend) { return stack(backend, parts); });
  expect_conforms(exact, [&](Backend& backend) {
    return concat_columns(backend, strided, random_tensor({2, 12, 8, 5}, 3));
  });
  expect_conforms(exact, [&](Backend& backend) { return backend.upload(strided); });
  expect_conforms(exact, [&](Backend& backend) { return backend.download(strided); });
}

TEST_P(Conformance, NothingIn) {
  const Tensor none({0, 6}, dtype());
  for (const auto& backend : tested_backends(dtype()))
    EXPECT_EQ(linear(*backend, none, *backend->pack_linear(random_tensor({4, 6}, 1), Tensor()),
                     Activation::none, dtype())
                  .elements(),
              0);
}

}  // namespace
}  // namespace tstitch
