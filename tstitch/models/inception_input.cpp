#include "tstitch/models/inception_input.h"

#include <algorithm>
#include <array>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

constexpr int64_t kChannels = 3;

// A row or column of the result is that of the picture at `low`, and `fraction` of the way to the one at
// `high`.
struct Between {
  int64_t low, high;
  float fraction;
};

std::array<Between, kInceptionSide> places(int64_t extent, InceptionResize resize) {
  const float scale = static_cast<float>(extent) / static_cast<float>(kInceptionSide);
  std::array<Between, kInceptionSide> all;
  for (int64_t i = 0; i < kInceptionSide; ++i) {
    const float at = resize == InceptionResize::tf1
                         ? static_cast<float>(i) * scale
                         : std::max(0.f, (static_cast<float>(i) + 0.5f) * scale - 0.5f);
    const int64_t low = std::min(static_cast<int64_t>(at), extent - 1);
    all[static_cast<size_t>(i)] = {low, std::min(low + 1, extent - 1), at - static_cast<float>(low)};
  }
  return all;
}

}  // namespace

Tensor inception_input(const Tensor& pictures, InceptionResize resize) {
  const int64_t N = pictures.extent(0), H = pictures.extent(1), W = pictures.extent(2);
  check_internal(pictures.is_contiguous() && pictures.columns() == kChannels, "[inception_input] pictures ",
                 pictures.shape());
  const auto rows = places(H, resize), columns = places(W, resize);
  // The same numbers as (x - 128) / 128 and 2 (x / 255) - 1.
  const float scale = resize == InceptionResize::tf1 ? 1 / 128.f : 2 / 255.f;

  Tensor input({N, kInceptionSide, kInceptionSide, kChannels}, DType::f32);
  float* to = input.data<float>();
  for (int64_t n = 0; n < N; ++n)
    for (const Between& y : rows) {
      const uint8_t* above = pictures.data<uint8_t>() + (n * H + y.low) * W * kChannels;
      const uint8_t* below = pictures.data<uint8_t>() + (n * H + y.high) * W * kChannels;
      for (const Between& x : columns)
        for (int64_t c = 0; c < kChannels; ++c) {
          const auto across = [&](const uint8_t* row) {
            const auto left = static_cast<float>(row[x.low * kChannels + c]),
                       right = static_cast<float>(row[x.high * kChannels + c]);
            return left + (right - left) * x.fraction;
          };
          const float top = across(above), bottom = across(below);
          *to++ = (top + (bottom - top) * y.fraction) * scale - 1;
        }
    }
  return input;
}

}  // namespace tstitch
