// Products of 8-bit numbers: the same bits as the plain loops of the reference on every kind of processor,
// whatever lies beside a row. What activations and norms add is compared as in op_conformance_test.cpp.
#include "tstitch/tensor/int8.h"

#include <functional>
#include <limits>

#include "backends.h"
#include "conv_cases.h"
#include "tests/support/golden.h"
#include "tstitch/nn/random_weights.h"

namespace tstitch {
namespace {

class Int8 : public testing::TestWithParam<DType> {
 protected:
  DType dtype() const { return GetParam(); }

  // compute(backend) is that of the reference to a tolerance; the default is bit for bit.
  void expect_conforms(const std::function<Tensor(Backend&)>& compute, Tolerance tolerance = {1e-300, 0}) {
    const Tensor expected = compute(reference_);
    for (const auto& backend : backends_) {
      SCOPED_TRACE(backend->description());
      expect_close(compute(*backend), expected, tolerance);
    }
  }
  void expect_same_on_any_threads(const std::function<Tensor(Backend&)>& compute) {
    const auto one = tested_backends(dtype(), 1), three = tested_backends(dtype(), 3);
    for (size_t i = 0; i < one.size(); ++i) {
      SCOPED_TRACE(one[i]->description());
      expect_equal(compute(*three[i]), compute(*one[i]));
    }
  }

  ReferenceBackend reference_{GetParam()};
  std::vector<std::unique_ptr<Backend>> backends_ = tested_backends(GetParam());
};

INSTANTIATE_TEST_SUITE_P(, Int8, testing::Values(DType::f32, DType::bf16),
                         [](const auto& test) { return std::string(name_of(test.param)); });

Tensor factors_of(int64_t inputs, uint32_t seed) {
  Tensor factors = random_tensor({inputs}, seed);
  for (int64_t i = 0; i < inputs; ++i) factors.data<float>()[i] = std::exp(factors.data<float>()[i]);
  return factors;
}

Int8Weight random_weight(const Shape& shape, uint32_t seed, const Tensor& factors = {}) {
  return quantize(random_tensor(shape, seed), factors);
}

TEST_P(Int8, Linear) {
  uint32_t seed = 1;
  for (const auto& [rows, K, M] : {std::array<int64_t, 3>{1, 1, 1},
                                   {1, 2, 3},
                                   {3, 7, 5},
                                   {5, 16, 31},
                                   {13, 33, 32},
                                   {14, 64, 33},
                                   {15, 131, 65},
                                   {29, 96, 64},
                                   {33, 384, 100},
                                   {7, 4096, 40},
                                   {70, 18, 64}})
    for (const DType in : {DType::f32, DType::bf16})
      for (const DType out : {DType::f32, DType::bf16}) {
        SCOPED_TRACE(testing::Message()
                     << rows << " x " << K << " -> " << M << ", " << name_of(in) << " to " << name_of(out));
        const Tensor x = with_strided_rows(random_tensor({rows, K}, ++seed, in, 3), K % 3);
        const Int8Weight w = random_weight({M, K}, ++seed);
        const Tensor b = rows % 2 ? random_tensor({M}, ++seed) : Tensor();
        expect_conforms([&](Backend& backend) {
          return linear(backend, x, *backend.pack_int8_linear(w, b), Activation::none, out);
        });
      }
}

// By PyTorch, with sums in int64 (tools/goldens/make_int8_goldens.py).
TEST_P(Int8, ProductsAreThoseOfPyTorch) {
  const auto uniform = [](const char* name, const Shape& shape) {
    return random_uniform(name, shape, std::sqrt(3.0), 7);
  };
  const Tensor x = uniform("x", {11, 70}), w = uniform("w", {33, 70}), b = uniform("b", {33});
  const Int8Weight q = quantize(w);
  const Tensor values = golden("int8/linear_values.npy");
  for (int64_t i = 0; i < values.elements(); ++i)
    ASSERT_EQ(static_cast<float>(q.values.data<int8_t>()[i]), values.data<float>()[i]);
  expect_equal(q.scales, golden("int8/linear_scales.npy"));
  const Tensor picture = to_channels_last(reference_, uniform("picture", {2, 20, 6, 9})),
               bias = uniform("bias", {13});
  const Int8Weight kernel = quantize(uniform("kernel", {13, 20, 3, 3}));
  for (const auto& backend : backends_) {
    SCOPED_TRACE(backend->description());
    expect_equal(linear(*backend, x, *backend->pack_int8_linear(q, b), Activation::none, DType::f32),
                 golden("int8/linear_y.npy"));
    const Tensor y = conv2d(*backend, picture, *backend->pack_int8_conv2d(kernel, bias),
                            {.pad_before = 1, .pad_after = 1}, Activation::none, DType::f32);
    expect_equal(to_channels_first(reference_, y), golden("int8/conv.npy"));
  }
}

TEST_P(Int8, LinearWithFactorsOfItsInputs) {
  const Tensor factors = factors_of(46, 1), x = random_tensor({11, 46}, 2, dtype());
  const Int8Weight w = random_weight({75, 46}, 3, factors);
  expect_conforms([&](Backend& backend) {
    return linear(backend, x, *backend.pack_int8_linear(w, Tensor()), Activation::none, DType::f32);
  });
}

TEST_P(Int8, AddLinear) {
  const Tensor x = random_tensor({2, 9, 70}, 1, dtype()), sum = random_tensor({2, 9, 33}, 2, dtype()),
               b = random_tensor({33}, 3);
  const Int8Weight w = random_weight({33, 70}, 4);
  expect_conforms([&](Backend& backend) {
    Tensor y = repeat(backend, sum, 1);
    add_linear(backend, y, x, *backend.pack_int8_linear(w, b));
    return y;
  });
}

TEST_P(Int8, EpiloguesThatRoundOtherwise) {
  const Tensor x = random_tensor({2, 9, 70}, 1, dtype()), residual = random_tensor({2, 9, 33}, 2),
               gate = random_tensor({2, 33}, 3), b = random_tensor({33}, 4);
  const Int8Weight w = random_weight({33, 70}, 5);
  expect_conforms(
      [&](Backend& backend) {
        Tensor y = repeat(backend, residual, 1);
        add_gated_linear(backend, y, gate, x, *backend.pack_int8_linear(w, b));
        return y;
      },
      {1e-6, 1e-6});
  expect_conforms(
      [&](Backend& backend) {
        return linear(backend, x, *backend.pack_int8_linear(w, b), Activation::gelu_tanh, DType::f32);
      },
      {1e-6, 3e-6});
}

// Two products of the largest bytes are more than 16 bits hold; the longest sum is nearly all that 32 do.
TEST_P(Int8, NothingSaturates) {
  for (const int64_t K : {int64_t{64}, kMostInt8Inputs}) {
    Tensor x({3, K}, DType::f32), w({2, K}, DType::f32);
    for (int64_t k = 0; k < K; ++k) {
      x.data<float>()[k] = 1;
      x.data<float>()[K + k] = -1;
      x.data<float>()[2 * K + k] = k == 0 ? -1.f : 1.f;
      w.data<float>()[k] = 1;
      w.data<float>()[K + k] = -1;
    }
    const Int8Weight q = quantize(w);
    expect_conforms([&](Backend& backend) {
      return linear(backend, x, *backend.pack_int8_linear(q, Tensor()), Activation::none, DType::f32);
    });
  }
}

TEST_P(Int8, RowsThatAreNotFiniteBecomeNaNAndOthersDoNot) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float bad : {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()})
    for (const int64_t at : {0, 7, 20}) {
      Tensor x = random_tensor({3, 21}, 1);
      x.data<float>()[21 + at] = bad;
      const Int8Weight w = random_weight({5, 21}, 2);
      for (const auto& backend : backends_) {
        SCOPED_TRACE(backend->description());
        const Tensor y =
            linear(*backend, x, *backend->pack_int8_linear(w, Tensor()), Activation::none, DType::f32);
        for (int64_t m = 0; m < 5; ++m) {
          EXPECT_TRUE(std::isfinite(element(y, 0, m)) && std::isfinite(element(y, 2, m)));
          EXPECT_TRUE(std::isnan(element(y, 1, m)));
        }
      }
    }
}

TEST_P(Int8, ZerosAndTheSmallestNumbersGiveTheBias) {
  Tensor x({2, 21}, DType::f32);
  std::fill_n(x.data<float>(), 21, 0.f);
  std::fill_n(x.data<float>() + 21, 21, 1e-38f);
  const Tensor b = random_tensor({5}, 1);
  const Int8Weight w = random_weight({5, 21}, 2);
  for (const auto& backend : backends_) {
    const Tensor y = linear(*backend, x, *backend->pack_int8_linear(w, b), Activation::none, DType::f32);
    for (int64_t row = 0; row < 2; ++row)
      for (int64_t m = 0; m < 5; ++m) EXPECT_EQ(element(y, row, m), b.data<float>()[m]);
  }
}

TEST_P(Int8, Conv2d) {
  uint32_t seed = 1;
  for (const auto& [N, H, W, C, M, k, path_] : kConvCases)
    for (const bool smoothed : {false, true}) {
      Conv2dPath path = path_;
      SCOPED_TRACE(testing::Message()
                   << N << " x " << H << " x " << W << " x " << C << " -> " << M << ", kernel " << k.height
                   << " x " << k.width << ", stride " << path.stride);
      const Tensor x = with_strided_rows(random_tensor({N, H, W, C}, ++seed, dtype()), 3);
      const Tensor factors = smoothed ? factors_of(C, ++seed) : Tensor();
      const Int8Weight w = random_weight({M, C, k.height, k.width}, ++seed, factors);
      const Tensor b = random_tensor({M}, ++seed), image_bias = random_tensor({N, M}, ++seed);
      path.image_bias = smoothed ? &image_bias : nullptr;
      path.act = smoothed ? Activation::none : Activation::relu;
      expect_conforms([&](Backend& backend) {
        return conv2d(backend, x, *backend.pack_int8_conv2d(w, b), path, Activation::none, dtype());
      });
    }
}

// A number may fall to the other of two neighbours where the norm or the activation rounds otherwise: that
// moves a sum by a step of the range times a weight, here 0.02 x 0.2, and happens once or twice.
TEST_P(Int8, Conv2dOfTheNormalised) {
  const Tensor norm = random_tensor({2, 2, 22}, 4), factors = factors_of(22, 5);
  for (const int64_t k : {1, 3})
    for (const Activation act :
         {Activation::none, Activation::gelu_tanh, Activation::silu, Activation::relu}) {
      SCOPED_TRACE(testing::Message() << "kernel " << k << ", activation " << static_cast<int>(act));
      const Int8Weight w = quantize(random_tensor({37, 22, k, k}, 1, DType::f32, 0.07), factors);
      const Tensor x = random_tensor({2, 9, 6, 22}, 3, dtype());
      expect_conforms(
          [&](Backend& backend) {
            return conv2d(backend, x, *backend.pack_int8_conv2d(w, Tensor()),
                          {.pad_before = k / 2, .pad_after = k / 2, .norm = &norm, .act = act},
                          Activation::none, DType::f32);
          },
          {8e-3, 0});
    }
}

TEST_P(Int8, APictureWithANumberThatIsNotFiniteBecomesNaNAndOthersDoNot) {
  Tensor x = random_tensor({2, 4, 5, 6}, 1);
  x.data<float>()[4 * 5 * 6 + 17] = std::numeric_limits<float>::infinity();
  const Int8Weight w = random_weight({3, 6, 3, 3}, 2);
  for (const auto& backend : backends_) {
    SCOPED_TRACE(backend->description());
    const Tensor y = conv2d(*backend, x, *backend->pack_int8_conv2d(w, Tensor()),
                            {.pad_before = 1, .pad_after = 1}, Activation::none, DType::f32);
    for (int64_t row = 0; row < y.rows(); ++row)
      for (int64_t m = 0; m < 3; ++m) EXPECT_EQ(std::isfinite(element(y, row, m)), row < 20) << row;
  }
}

TEST_P(Int8, ThreadsChangeNothing) {
  const Tensor x = random_tensor({61, 130}, 1, dtype()), picture = random_tensor({2, 13, 9, 40}, 2, dtype()),
               c = random_tensor({40}, 3);
  const Int8Weight w = random_weight({300, 130}, 4), kernel = random_weight({70, 40, 3, 3}, 5),
                   pixel = random_weight({70, 40, 1, 1}, 6);
  expect_same_on_any_threads([&](Backend& backend) {
    return linear(backend, x, *backend.pack_int8_linear(w, Tensor()), Activation::gelu_tanh, dtype());
  });
  for (const Int8Weight& each : {kernel, pixel})
    expect_same_on_any_threads([&](Backend& backend) {
      const Tensor moments = group_moments(backend, picture, 8);
      const Tensor norm = group_norm_scale_shift(backend, {&moments, 1}, c, c, 1e-6);
      const int64_t pad = each.values.extent(2) / 2;
      return conv2d(backend, picture, *backend.pack_int8_conv2d(each, Tensor()),
                    {.pad_before = pad, .pad_after = pad, .norm = &norm, .act = Activation::silu},
                    Activation::none, DType::f32);
    });
}

TEST_P(Int8, CompanyChangesNothing) {
  const Tensor x = random_tensor({37, 130}, 1, dtype()), pictures = random_tensor({3, 13, 9, 40}, 2, dtype()),
               norm = random_tensor({3, 2, 40}, 3);
  const Int8Weight w = random_weight({50, 130}, 4), kernel = random_weight({70, 40, 3, 3}, 5);
  for (const auto& backend : backends_) {
    SCOPED_TRACE(backend->description());
    const auto packed = backend->pack_int8_linear(w, Tensor());
    const Tensor all = linear(*backend, x, *packed, Activation::silu, DType::f32);
    for (const int64_t row : {0, 20, 36})
      expect_equal(linear(*backend, x.slice(row, row + 1), *packed, Activation::silu, DType::f32),
                   all.slice(row, row + 1));

    const auto conv = backend->pack_int8_conv2d(kernel, Tensor());
    const auto of = [&](int64_t begin, int64_t end, int64_t from, int64_t to) {
      const Tensor norms = norm.slice(begin, end);
      return conv2d(*backend, pictures.slice(begin, end), *conv,
                    {.pad_before = 1,
                     .pad_after = 1,
                     .norm = &norms,
                     .act = Activation::silu,
                     .begin = from,
                     .end = to},
                    Activation::none, DType::f32);
    };
    const Tensor together = of(0, 3, 0, 13);
    for (int64_t n = 0; n < 3; ++n) {
      expect_equal(of(n, n + 1, 0, 13), together.slice(n, n + 1));
      const Tensor rows = of(n, n + 1, 4, 9);  // a strip of the picture
      expect_equal(rows.reshape({5, 9, 70}), together.slice(n, n + 1).reshape({13, 9, 70}).slice(4, 9));
    }
  }
}

// All kinds of processors give one another's bits, which no other type does.
TEST_P(Int8, ProcessorsAgree) {
  const Tensor x = random_tensor({40, 333}, 1, dtype());
  const Int8Weight w = random_weight({90, 333}, 2);
  const auto product = [&](Backend& backend) {
    return linear(backend, x, *backend.pack_int8_linear(w, Tensor()), Activation::none, DType::f32);
  };
  const Tensor first = product(*backends_[0]);
  for (const auto& backend : backends_) expect_equal(product(*backend), first);
}

}  // namespace
}  // namespace tstitch
