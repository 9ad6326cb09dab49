#include "tstitch/tensor/int8.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/support/expect_error.h"

namespace tstitch {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

Tensor tensor(const Shape& shape, const std::vector<float>& values) {
  return make_tensor<float>(shape, values);
}

std::vector<int> values_of(const Int8Weight& w) {
  const int8_t* p = w.values.data<int8_t>();
  return {p, p + w.values.elements()};
}

TEST(Int8Weight, TheLargestOfAnOutputIs127AndTiesGoToEven) {
  const Int8Weight w = quantize(tensor({3, 4}, {127, -127, 0.5, 1.5, 0, 0, 0, 0, -2, 1, 0.01f, -0.008f}));
  EXPECT_EQ(values_of(w), (std::vector<int>{127, -127, 0, 2, 0, 0, 0, 0, -127, 64, 1, -1}));
  EXPECT_EQ(w.scales.data<float>()[0], 1);
  EXPECT_EQ(w.scales.data<float>()[1], 0);
  EXPECT_EQ(w.scales.data<float>()[2], 2.f / 127);
}

TEST(Int8Weight, FactorsAreDividedOutAndComeBack) {
  const Tensor w = tensor({1, 2, 1, 2}, {8, -4, 0.5, 0.25}), factors = tensor({2}, {8, 0.5});
  const Int8Weight q = quantize(w, factors);
  EXPECT_EQ(values_of(q), (std::vector<int>{127, -64, 127, 64}));  // 63.5 goes to even
  const Tensor back = dequantize(q);
  for (int64_t i = 0; i < 4; ++i)
    EXPECT_NEAR(back.data<float>()[i], w.data<float>()[i], 0.5 / 127 * factors.data<float>()[i / 2]);
}

TEST(Int8Weight, WeightsTooSmallForAnInverseAreZeros) {
  EXPECT_EQ(values_of(quantize(tensor({1, 2}, {1e-40f, -1e-38f}))), (std::vector<int>{0, 0}));
}

TEST(Int8Weight, SmoothingMakesInputsAndWeightsEqual) {
  // Inputs of sizes 4 and 1 with weights up to 1 and 4: afterwards both products' halves are 2.
  const Tensor factors = smoothing_factors(tensor({2, 2}, {1, -4, 0.5, 2}), tensor({2}, {4, 1}));
  EXPECT_EQ(factors.data<float>()[0], 0.5);  // x 4 -> 2, w 1 -> 2
  EXPECT_EQ(factors.data<float>()[1], 2);
  const Tensor of_nothing = smoothing_factors(tensor({1, 3}, {0, 1, 1e30f}), tensor({3}, {1, 0, 1e-30f}));
  EXPECT_EQ(of_nothing.data<float>()[0], 1);
  EXPECT_EQ(of_nothing.data<float>()[1], 1);
  EXPECT_EQ(of_nothing.data<float>()[2], 1024);  // the bound
}

TEST(Int8Weight, PartsOfAProductStandBelowEachOther) {
  const Int8Weight a = quantize(tensor({1, 2}, {1, 2})), b = quantize(tensor({2, 2}, {4, 3, 2, 1}));
  const std::vector<Int8Weight> parts = {a, b};
  const Int8Weight all = stacked(parts);
  EXPECT_EQ(all.values.shape(), Shape({3, 2}));
  EXPECT_EQ(values_of(all), (std::vector<int>{64, 127, 127, 95, 127, 64}));
  EXPECT_EQ(all.scales.data<float>()[1], 4.f / 127);
  const std::vector<Int8Weight> uneven = {a, quantize(tensor({1, 2}, {1, 2}), tensor({2}, {1, 2}))};
  testing::expect_error(ErrorKind::input, "8-bit weights of one product have factors of their inputs",
                        [&] { stacked(uneven); });
}

TEST(Uint8Range, HoldsZeroAndAllBetween) {
  const Uint8Range both = range_of(-1, 3);
  EXPECT_EQ(both.zero, 64);  // 63.75
  EXPECT_EQ(quantized(0, both), 64);
  EXPECT_EQ(quantized(-1, both), 0);
  EXPECT_EQ(quantized(3, both), 255);
  const Uint8Range above = range_of(2, 5), below = range_of(-5, -2);  // zero is among them
  EXPECT_EQ(above.zero, 0);
  EXPECT_EQ(above.scale, 5.f / 255);
  EXPECT_EQ(quantized(5, above), 255);
  EXPECT_EQ(below.zero, 255);
  EXPECT_EQ(quantized(-5, below), 0);
  EXPECT_EQ(quantized(1e30f, both), 255);
  EXPECT_EQ(quantized(-1e30f, both), 0);
}

TEST(Uint8Range, WhatIsNotFiniteIsToldAndWhatIsTinyIsZero) {
  EXPECT_TRUE(std::isnan(range_of(kNaN, 1).scale));
  EXPECT_TRUE(std::isnan(range_of(-1, kNaN).scale));
  EXPECT_TRUE(std::isnan(range_of(-3e38f, 3e38f).scale));  // wider than f32 holds
  EXPECT_EQ(quantized(kNaN, range_of(kNaN, 1)), 0);
  EXPECT_EQ(range_of(0, 0).scale, 0);
  EXPECT_EQ(range_of(-1e-38f, 1e-38f).scale, 0);
}

}  // namespace
}  // namespace tstitch
