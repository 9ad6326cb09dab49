#include "tstitch/io/convert.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "tests/io/io_support.h"

namespace tstitch {
namespace {

// `from` at an odd address, converted.
template <class To, class From>
std::vector<To> converted(const std::vector<From>& from, DType from_type, int64_t expected_non_finite = 0) {
  std::string bytes = "x";
  for (const From& x : from) bytes += raw(x);
  Tensor to({static_cast<int64_t>(from.size())}, DTypeOf<To>::value);
  EXPECT_EQ(convert_elements(bytes_of(bytes).subspan(1), from_type, to), expected_non_finite);
  return {to.data<To>(), to.data<To>() + to.elements()};
}

TEST(Convert, EveryHalfIsExact) {
  std::vector<uint16_t> halves(65536);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  const auto floats = converted<float>(halves, DType::f16, 2 * 1024);
  for (size_t i = 0; i < halves.size(); ++i) {
    const int exponent = static_cast<int>(i >> 10 & 31), mantissa = static_cast<int>(i & 1023);
    if (exponent == 31) {
      EXPECT_FALSE(std::isfinite(floats[i]));
      continue;
    }
    const double magnitude =
        exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24);
    ASSERT_EQ(floats[i], i >> 15 ? -magnitude : magnitude) << i;
  }
}

TEST(Convert, EveryBfloat16IsExact) {
  std::vector<uint16_t> bits(65536);
  for (size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<uint16_t>(i);
  const auto floats = converted<float>(bits, DType::bf16, 2 * 128);
  const auto same = converted<bfloat16>(bits, DType::bf16, 2 * 128);
  for (size_t i = 0; i < bits.size(); ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(floats[i]), static_cast<uint32_t>(i) << 16);
    ASSERT_EQ(same[i].bits, i);
  }
}

// The bf16 nearest to x, ties to even, by searching among all of them.
uint16_t nearest_bfloat16(double x) {
  const auto value = [](int bits) {
    return static_cast<double>(to_float(bfloat16{static_cast<uint16_t>(bits)}));
  };
  int low = 0, high = 0x7f7f;  // positive finite values, in order
  const double magnitude = std::fabs(x);
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (value(middle) <= magnitude ? low : high) = middle;
  }
  const double below = magnitude - value(low), above = value(high) - magnitude;
  const int nearest = below < above || (below == above && low % 2 == 0) ? low : high;
  return static_cast<uint16_t>(nearest | (x < 0 ? 0x8000 : 0));
}

TEST(Convert, DoublesAreRoundedOnce) {
  std::vector<double> values = {
      0,
      1,
      -1,
      0.1,
      1e-300,
      5e-324,
      3e38,
      -1e-40,
      0x1.02p0,
      0x1.01p0,
      0x1.03p0,
      0x1.01p0 + 0x1p-40,  // to f32 first it would be a tie, and then even: too low
      0x1.03p0 - 0x1p-40,
      0x1.01p-130,
      0x1.01p-130 + 0x1p-170,
  };
  std::mt19937_64 random(7);
  for (int i = 0; i < 20000; ++i)
    values.push_back(std::ldexp(static_cast<double>(static_cast<int64_t>(random())),
                                static_cast<int>(random() % 250) - 190));
  const auto results = converted<bfloat16>(values, DType::f64);
  for (size_t i = 0; i < values.size(); ++i)
    ASSERT_EQ(results[i].bits, nearest_bfloat16(values[i])) << values[i];
  const auto floats = converted<float>(values, DType::f64);
  for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(floats[i], static_cast<float>(values[i]));
}

TEST(Convert, FloatsAreRoundedToNearestEven) {
  std::vector<float> values = {0, -0.0f, 1, 0x1.01p0f, 0x1.03p0f, 0x1.010002p0f, 1e-40f, 3.38e38f};
  std::mt19937 random(3);
  for (int i = 0; i < 20000; ++i) {
    const float x = std::bit_cast<float>(static_cast<uint32_t>(random()));
    if (std::fabs(x) < 3.38e38f) values.push_back(x);
  }
  const auto results = converted<bfloat16>(values, DType::f32);
  for (size_t i = 0; i < values.size(); ++i)
    ASSERT_EQ(results[i].bits & 0x7fff, nearest_bfloat16(values[i]) & 0x7fff) << values[i];
  EXPECT_EQ(results[1].bits, 0x8000);
}

TEST(Convert, HalvesAreRoundedOnce) {
  const auto bits = [](const std::vector<double>& x, DType type, const auto& as) {
    std::vector<std::decay_t<decltype(as)>> values;
    for (const double v : x) values.push_back(static_cast<std::decay_t<decltype(as)>>(v));
    std::vector<uint16_t> result;
    for (const float16 half : converted<float16>(values, type)) result.push_back(half.bits);
    return result;
  };
  const std::vector<double> ties = {1,      0x1.002p0, 0x1.006p0, 0x1.002p0 + 0x1p-40, 0x1.006p0 - 0x1p-40,
                                    0x1p-25};
  EXPECT_EQ(bits(ties, DType::f64, double{}),
            (std::vector<uint16_t>{0x3c00, 0x3c00, 0x3c02, 0x3c01, 0x3c01, 0}));
  EXPECT_EQ(bits(ties, DType::f32, float{}),
            (std::vector<uint16_t>{0x3c00, 0x3c00, 0x3c02, 0x3c00, 0x3c02, 0}));
  const auto from_bfloat16 = converted<float16>(std::vector<uint16_t>{0x3f80, 0xc040}, DType::bf16);
  EXPECT_EQ(from_bfloat16[0].bits, 0x3c00);
  EXPECT_EQ(from_bfloat16[1].bits, 0xc200);
  converted<float16>(std::vector<float>{65519, 65520, -1e9f, std::numeric_limits<float>::quiet_NaN()},
                     DType::f32, 3);
}

TEST(Convert, CountsWhatIsNotFinite) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN(),
                   kInf = std::numeric_limits<double>::infinity();
  converted<float>(std::vector<double>{kNan, kInf, -kInf, 1e39, -1e300, 1e38}, DType::f64, 5);
  converted<bfloat16>(std::vector<double>{kNan, kInf, -kInf, 3.4e38, 1}, DType::f64, 4);
  converted<bfloat16>(std::vector<float>(100'000, std::numeric_limits<float>::infinity()), DType::f32,
                      100'000);
  converted<bfloat16>(std::vector<uint16_t>(100'000, 0x7fc1), DType::bf16, 100'000);
  converted<float>(std::vector<float>{}, DType::f32, 0);
}

}  // namespace
}  // namespace tstitch
