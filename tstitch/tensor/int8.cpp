#include "tstitch/tensor/int8.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

// A weight as (M, C, taps): taps is 1 of a matrix.
struct Extents {
  explicit Extents(const Tensor& w)
      : M(w.extent(0)), C(w.extent(1)), taps(M * C > 0 ? w.elements() / (M * C) : 1) {}
  int64_t M, C, taps;
};

}  // namespace

Int8Weight quantize(const Tensor& w, const Tensor& factors) {
  const auto [M, inputs, kernel] = Extents(w);
  const int64_t C = inputs, taps = kernel;  // clang 14 lets no lambda have a binding
  check_internal(w.is_contiguous() && (!factors || factors.elements() == C), "[quantize] ", w.shape());
  Int8Weight q{.values = Tensor(w.shape(), DType::i8), .scales = Tensor({M}, DType::f32), .factors = factors};
  for (int64_t m = 0; m < M; ++m) {
    const float* row = w.data<float>() + m * C * taps;
    const auto for_smoothed = [&](const auto& f) {
      for (int64_t c = 0, i = 0; c < C; ++c) {
        const float factor = factors ? factors.data<float>()[c] : 1;
        for (int64_t tap = 0; tap < taps; ++tap, ++i) f(i, row[i] / factor);
      }
    };
    float largest = 0;
    for_smoothed([&](int64_t, float x) { largest = std::max(largest, std::fabs(x)); });
    // Below this its inverse would be no number, and what is lost none that counts.
    if (largest < 0x1p-100f) largest = 0;
    const float inverse = largest > 0 ? 127 / largest : 0;
    q.scales.data<float>()[m] = largest / 127;
    for_smoothed([&](int64_t i, float x) {
      q.values.data<int8_t>()[m * C * taps + i] =
          static_cast<int8_t>(std::clamp(std::nearbyint(x * inverse), -127.f, 127.f));
    });
  }
  return q;
}

Tensor dequantize(const Int8Weight& weight) {
  const auto [M, C, taps] = Extents(weight.values);
  Tensor w(weight.values.shape(), DType::f32);
  for (int64_t m = 0; m < M; ++m)
    for (int64_t i = m * C * taps; i < (m + 1) * C * taps; ++i) {
      float value = static_cast<float>(weight.values.data<int8_t>()[i]) * weight.scales.data<float>()[m];
      if (weight.factors) value *= weight.factors.data<float>()[i / taps % C];
      w.data<float>()[i] = value;
    }
  return w;
}

Tensor stacked(std::span<const Tensor> parts) {
  int64_t M = 0;
  for (const Tensor& part : parts) M += part.extent(0);
  Tensor all(parts[0].shape().with(0, M), parts[0].dtype());
  std::byte* to = all.bytes();
  for (const Tensor& part : parts) {
    const auto bytes = static_cast<size_t>(part.elements() * size_of(part.dtype()));
    std::memcpy(to, part.bytes(), bytes);
    to += bytes;
  }
  return all;
}

Int8Weight stacked(std::span<const Int8Weight> parts) {
  std::vector<Tensor> values, scales;
  for (const Int8Weight& part : parts) {
    check(!part.factors, ErrorKind::input,
          "8-bit weights of one product have factors of their inputs, expected none");
    values.push_back(part.values);
    scales.push_back(part.scales);
  }
  return {.values = stacked(values), .scales = stacked(scales), .factors = {}};
}

Tensor smoothing_factors(const Tensor& w, const Tensor& sizes) {
  const auto [M, C, taps] = Extents(w);
  check_internal(sizes.elements() == C, "[smoothing_factors] ", C, " inputs and sizes ", sizes.shape());
  Tensor factors({C}, DType::f32);
  for (int64_t c = 0; c < C; ++c) {
    float largest = 0;
    for (int64_t m = 0; m < M; ++m)
      for (int64_t tap = 0; tap < taps; ++tap)
        largest = std::max(largest, std::fabs(w.data<float>()[(m * C + c) * taps + tap]));
    const float size = sizes.data<float>()[c];
    // A channel that is never there, or that nobody reads, says nothing. The bounds keep one that hardly
    // matters from setting a range of its own.
    const float ratio = size > 0 && largest > 0 ? largest / size : 1;
    factors.data<float>()[c] = std::sqrt(std::clamp(ratio, 0x1p-20f, 0x1p20f));
  }
  return factors;
}

Uint8Range range_of(float low, float high) {
  const float width = std::max(high, 0.f) - std::min(low, 0.f);
  if (!(std::fabs(width) < INFINITY) || low != low || high != high) return {.scale = NAN};
  if (width < 0x1p-100f) return {};
  Uint8Range range{.scale = width / 255, .inverse = 255 / width};
  range.zero = static_cast<int32_t>(std::nearbyint(-std::min(low, 0.f) * range.inverse));
  return range;
}

uint8_t quantized(float x, const Uint8Range& range) {
  const float q = std::nearbyint(x * range.inverse) + static_cast<float>(range.zero);
  return q > 0 ? static_cast<uint8_t>(std::min(q, 255.f)) : uint8_t{0};  // of NaN 0
}

}  // namespace tstitch
