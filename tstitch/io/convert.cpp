#include "tstitch/io/convert.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "tstitch/base/error.h"
#include "tstitch/io/refuse.h"

namespace tstitch {
namespace {

static_assert(std::endian::native == std::endian::little, "files are little-endian and read as they are");

// Elements at once: the source is copied to an aligned buffer and the result counted while both are in the
// first-level cache. At most 65535, see count_non_finite.
constexpr int64_t kBlock = 2048;

// The largest exponent marks NaN and infinity. A 16-bit count lets the compiler keep 16-bit lanes.
uint16_t count_non_finite(const bfloat16* x, int64_t n) {
  uint16_t count = 0;
  for (int64_t i = 0; i < n; ++i) count = static_cast<uint16_t>(count + ((x[i].bits & 0x7f80) == 0x7f80));
  return count;
}

uint16_t count_non_finite(const float16* x, int64_t n) {
  uint16_t count = 0;
  for (int64_t i = 0; i < n; ++i) count = static_cast<uint16_t>(count + ((x[i].bits & 0x7c00) == 0x7c00));
  return count;
}

uint32_t count_non_finite(const float* x, int64_t n) {
  uint32_t count = 0;
  for (int64_t i = 0; i < n; ++i) count += (std::bit_cast<uint32_t>(x[i]) & 0x7f800000u) == 0x7f800000u;
  return count;
}

// f64 to f32, inexact results rounded to the neighbour with an odd last bit: that keeps what a second
// rounding, to 16 bits, needs to be as right as a single one (Boldo & Melquiond 2008, "Emulation of FMA and
// correctly rounded sums", theorem 1).
float round_to_odd(double x) {
  const auto nearest = static_cast<float>(x);
  if (static_cast<double>(nearest) == x || std::isnan(x)) return nearest;
  uint32_t bits = std::bit_cast<uint32_t>(nearest);
  if (std::fabs(static_cast<double>(nearest)) > std::fabs(x)) --bits;  // now towards zero
  return std::bit_cast<float>(bits | 1u);
}

void convert(bfloat16 x, float& y) { y = to_float(x); }
void convert(float16 x, float& y) { y = to_float(x); }
void convert(double x, float& y) { y = static_cast<float>(x); }
void convert(float x, bfloat16& y) { y = to_bfloat16(x); }
void convert(float16 x, bfloat16& y) { y = to_bfloat16(to_float(x)); }
void convert(double x, bfloat16& y) { y = to_bfloat16(round_to_odd(x)); }
void convert(float x, float16& y) { y = to_float16(x); }
void convert(bfloat16 x, float16& y) { y = to_float16(to_float(x)); }
void convert(double x, float16& y) { y = to_float16(round_to_odd(x)); }

template <class From, class To>
int64_t convert_all(std::span<const std::byte> from, To* to, int64_t elements) {
  int64_t non_finite = 0;
  for (int64_t begin = 0; begin < elements; begin += kBlock) {
    const int64_t n = std::min(kBlock, elements - begin);
    const std::byte* source = from.data() + begin * static_cast<int64_t>(sizeof(From));
    To* target = to + begin;
    if constexpr (std::is_same_v<From, To>) {
      std::memcpy(target, source, static_cast<size_t>(n) * sizeof(To));
    } else {
      From block[kBlock];
      std::memcpy(block, source, static_cast<size_t>(n) * sizeof(From));
      for (int64_t i = 0; i < n; ++i) convert(block[i], target[i]);
    }
    non_finite += count_non_finite(target, n);
  }
  return non_finite;
}

template <class To>
int64_t convert_blocks_to(std::span<const std::byte> from, const BlockType& type,
                          std::span<const float> scales, To* to, int64_t elements) {
  static_assert(kBlock % 256 == 0, "whole blocks of every type");
  const int64_t run = scales.empty() ? elements : elements / std::ssize(scales);
  int64_t non_finite = 0;
  for (int64_t begin = 0; begin < elements;) {
    const int64_t n = std::min(kBlock, run - begin % run);
    float block[kBlock];
    type.decode(from.data() + begin / type.elements * type.bytes, n / type.elements, block);
    if (!scales.empty()) {
      const float scale = scales[static_cast<size_t>(begin / run)];
      for (int64_t i = 0; i < n; ++i) block[i] *= scale;
    }
    non_finite += convert_all<float>(std::as_bytes(std::span(block)), to + begin, n);
    begin += n;
  }
  return non_finite;
}

template <class To>
int64_t convert_to(std::span<const std::byte> from, DType from_type, To* to, int64_t elements) {
  switch (from_type) {
    case DType::f32:
      return convert_all<float>(from, to, elements);
    case DType::bf16:
      return convert_all<bfloat16>(from, to, elements);
    case DType::f16:
      return convert_all<float16>(from, to, elements);
    case DType::f64:
      return convert_all<double>(from, to, elements);
    default:
      fail(ErrorKind::internal, "internal error: elements of type ", name_of(from_type),
           " are not converted");
  }
}

}  // namespace

int64_t convert_elements(std::span<const std::byte> from, DType from_type, Tensor& to) {
  const int64_t elements = to.elements();
  check_internal(to.is_contiguous() && static_cast<int64_t>(from.size()) == elements * size_of(from_type),
                 from.size(), " bytes of ", name_of(from_type), " for ", to.shape());
  if (to.dtype() == DType::f32) return convert_to(from, from_type, to.data<float>(), elements);
  if (to.dtype() == DType::f16) return convert_to(from, from_type, to.data<float16>(), elements);
  return convert_to(from, from_type, to.data<bfloat16>(), elements);
}

int64_t convert_blocks(std::span<const std::byte> from, const BlockType& type, std::span<const float> scales,
                       Tensor& to) {
  const int64_t elements = to.elements();
  check_internal(to.is_contiguous() && elements % type.elements == 0 &&
                     std::ssize(from) == elements / type.elements * type.bytes,
                 from.size(), " bytes of ", type.name, " for ", to.shape());
  check_internal(scales.empty() || elements % (std::ssize(scales) * type.elements) == 0, scales.size(),
                 " scales for ", to.shape());
  if (to.dtype() == DType::f32) return convert_blocks_to(from, type, scales, to.data<float>(), elements);
  if (to.dtype() == DType::f16) return convert_blocks_to(from, type, scales, to.data<float16>(), elements);
  return convert_blocks_to(from, type, scales, to.data<bfloat16>(), elements);
}

Tensor rounded(const Tensor& values, DType dtype, const std::string& path, const std::string& name) {
  Tensor rounded(values.shape(), dtype);
  const auto bytes = std::span(values.bytes(), static_cast<size_t>(values.elements() * size_of(DType::f32)));
  if (const int64_t infinite = convert_elements(bytes, DType::f32, rounded))
    refuse(path, "MODEL_NONFINITE", "with it ", infinite, " of ", values.elements(), " elements of \"", name,
           "\" are NaN, infinite or too large for ", name_of(dtype));
  return rounded;
}

bool is_floating(DType dtype) {
  return dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f16 || dtype == DType::f64;
}

}  // namespace tstitch
