#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tstitch {

// Element types of tensors in memory and in files. The backends compute in f32 and bf16, and multiply by i8
// (int8.h); the others are only read and converted.
enum class DType : uint8_t { f32, bf16, f16, f64, i64, i32, u8, i8 };

int64_t size_of(DType dtype);                             // bytes per element
std::string_view name_of(DType dtype);                    // "f32", "bf16", ...
std::optional<DType> parse_dtype(std::string_view name);  // the inverse of name_of

// bfloat16: the upper half of an f32.
struct bfloat16 {
  uint16_t bits;
};

constexpr float to_float(bfloat16 x) { return std::bit_cast<float>(uint32_t{x.bits} << 16); }

// Rounds to nearest, ties to even; NaN stays NaN.
constexpr bfloat16 to_bfloat16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

// IEEE binary16.
struct float16 {
  uint16_t bits;
};

// Exact for every value. Without branches, for vector registers; no intermediate value is denormal, so a
// thread that flushes those to zero gets the same result.
constexpr float to_float(float16 x) {
  constexpr uint32_t kRebias = (127 - 15) << 23;
  const uint32_t sign = uint32_t{x.bits & 0x8000u} << 16, magnitude = x.bits & 0x7fffu;
  const uint32_t denormal =
      std::bit_cast<uint32_t>(static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24f);
  const uint32_t finite = (magnitude << 13) + kRebias;
  const uint32_t special = finite + kRebias;  // NaN and infinity: from the largest exponent to the largest
  return std::bit_cast<float>(sign | (magnitude < 0x400u    ? denormal
                                      : magnitude < 0x7c00u ? finite
                                                            : special));
}

// Rounds to nearest, ties to even; from 65520 on to infinity. NaN stays NaN.
constexpr float16 to_float16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x), sign = (bits >> 16) & 0x8000u,
                 magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu))};
  // The smallest normal number is 2^-14. Below it the unit is 2^-24, that of the floats from 1/2 on: the sum
  // rounds as it should.
  if (magnitude < 0x38800000u) {
    const float sum = std::bit_cast<float>(magnitude) + 0.5f;
    return {static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(sum) - std::bit_cast<uint32_t>(0.5f)))};
  }
  constexpr uint32_t kRebias = (127 - 15) << 10, kInfinity = 0x7c00u;
  const uint32_t rounded = ((magnitude + 0xfffu + ((magnitude >> 13) & 1u)) >> 13) - kRebias;
  return {static_cast<uint16_t>(sign | (rounded < kInfinity ? rounded : kInfinity))};
}

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<bfloat16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct DTypeOf<float16> {
  static constexpr DType value = DType::f16;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::i64;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::u8;
};
template <>
struct DTypeOf<int8_t> {
  static constexpr DType value = DType::i8;
};

}  // namespace tstitch
