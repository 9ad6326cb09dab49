#include "tstitch/tensor/dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace tstitch {
namespace {

// The value of a binary floating-point number of 1 sign bit, `exponent_bits` and `mantissa_bits`, from its
// definition.
double value_of(uint32_t bits, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = static_cast<int>(bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const double fraction = std::ldexp(bits & ((1u << mantissa_bits) - 1), -mantissa_bits);
  const double sign = bits >> (exponent_bits + mantissa_bits) ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1)
    return fraction != 0 ? std::numeric_limits<double>::quiet_NaN()
                         : sign * std::numeric_limits<double>::infinity();
  return sign * (exponent ? std::ldexp(1 + fraction, exponent - bias) : std::ldexp(fraction, 1 - bias));
}

bool same(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

TEST(DType, SizesAndNames) {
  EXPECT_EQ(size_of(DType::f32), 4);
  EXPECT_EQ(size_of(DType::bf16), 2);
  EXPECT_EQ(size_of(DType::f16), 2);
  EXPECT_EQ(size_of(DType::f64), 8);
  EXPECT_EQ(size_of(DType::i64), 8);
  EXPECT_EQ(size_of(DType::i32), 4);
  EXPECT_EQ(size_of(DType::u8), 1);
  for (const DType dtype :
       {DType::f32, DType::bf16, DType::f16, DType::f64, DType::i64, DType::i32, DType::u8})
    EXPECT_EQ(parse_dtype(name_of(dtype)), dtype);
  EXPECT_EQ(parse_dtype("F32"), std::nullopt);
  EXPECT_EQ(parse_dtype(""), std::nullopt);
}

TEST(Half, EveryValueIsExact) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits)
    ASSERT_TRUE(same(to_float(float16{static_cast<uint16_t>(bits)}), value_of(bits, 5, 10)))
        << std::hex << bits;
}

TEST(BFloat16, EveryValueIsExact) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits)
    ASSERT_TRUE(same(to_float(bfloat16{static_cast<uint16_t>(bits)}), value_of(bits, 8, 7)))
        << std::hex << bits;
}

TEST(BFloat16, EveryValueSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = to_float(bfloat16{static_cast<uint16_t>(bits)});
    const bfloat16 back = to_bfloat16(value);
    if (std::isnan(value))
      ASSERT_TRUE(std::isnan(to_float(back))) << std::hex << bits;
    else
      ASSERT_EQ(back.bits, bits) << std::hex << bits;
  }
}

// Between each finite value and the next one of the same sign: the middle goes to the even one, everything
// else to the nearer one. Past the largest finite value lies infinity.
TEST(BFloat16, RoundsToNearestTiesToEven) {
  for (const uint32_t sign : {0u, 0x8000u})
    for (uint32_t bits = sign; bits < sign + 0x7f80; ++bits) {
      const uint32_t below = bits << 16, middle = below + 0x8000, above = below + 0x10000;
      const auto rounded = [](uint32_t pattern) { return to_bfloat16(std::bit_cast<float>(pattern)).bits; };
      ASSERT_EQ(rounded(middle - 1), bits) << std::hex << bits;
      ASSERT_EQ(rounded(middle), bits + (bits & 1)) << std::hex << bits;
      ASSERT_EQ(rounded(middle + 1), bits + 1) << std::hex << bits;
      ASSERT_EQ(rounded(above - 1), bits + 1) << std::hex << bits;
    }
}

// A NaN whose payload lies in the lower half of an f32 only must not become infinity.
TEST(BFloat16, NaNStaysNaN) {
  for (const uint32_t pattern : {0x7f800001u, 0xff800001u, 0x7fffffffu, 0xffffffffu, 0x7fc00000u})
    EXPECT_TRUE(std::isnan(to_float(to_bfloat16(std::bit_cast<float>(pattern))))) << std::hex << pattern;
}

TEST(Float16, EveryHalfSurvivesTheWayThroughAFloat) {
  for (uint32_t i = 0; i < 65536; ++i) {
    const float16 half{static_cast<uint16_t>(i)};
    const float x = to_float(half);
    if (std::isnan(x))
      EXPECT_TRUE(std::isnan(to_float(to_float16(x))));
    else
      ASSERT_EQ(to_float16(x).bits, i);
  }
}

// Between two neighbours the nearer one wins, in the middle the even one; so for every pair of halves.
TEST(Float16, RoundsToNearestEven) {
  for (uint32_t i = 0; i < 0x7c00; ++i) {
    const auto bits = [](float x) { return uint32_t{to_float16(x).bits}; };
    const float low = to_float(float16{static_cast<uint16_t>(i)});
    const float high = i == 0x7bff ? 65536.0f : to_float(float16{static_cast<uint16_t>(i + 1)});
    const float middle = low + (high - low) / 2;  // exact
    ASSERT_EQ(bits(middle), i + i % 2) << low;
    ASSERT_EQ(bits(std::nextafter(middle, low)), i) << low;
    ASSERT_EQ(bits(std::nextafter(middle, high)), i + 1) << low;
    ASSERT_EQ(bits(-std::nextafter(middle, high)), (i + 1) | 0x8000u) << low;
  }
  EXPECT_EQ(to_float16(1e30f).bits, 0x7c00);
  EXPECT_EQ(to_float16(-std::numeric_limits<float>::infinity()).bits, 0xfc00);
  EXPECT_EQ(to_float16(std::numeric_limits<float>::denorm_min()).bits, 0);
  EXPECT_EQ(to_float16(-0.0f).bits, 0x8000);
}

}  // namespace
}  // namespace tstitch
