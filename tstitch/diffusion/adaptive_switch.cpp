#include "tstitch/diffusion/adaptive_switch.h"

#include <cmath>
#include <utility>

#include "tstitch/base/error.h"

namespace tstitch {

double detail_to_noise(const Tensor& x0, const NoiseLevel& level, const Tensor& painted) {
  const int64_t height = x0.extent(0), width = x0.extent(1), channels = x0.extent(2);
  check_internal(!painted || painted.shape() == Shape({height, width}), "a mask ", painted.shape(), " over ",
                 x0.shape());
  const float* pixel = x0.data<float>();
  double squares = 0, weights = 0;
  // Of `count` pixels from p on and those `stride` pixels behind them.
  const auto add = [&](int64_t p, int64_t count, int64_t stride) {
    for (const int64_t end = p + count; p < end; ++p) {
      const double weight =
          painted ? (double{painted.data<float>()[p]} + double{painted.data<float>()[p + stride]}) / 2 : 1;
      weights += weight;
      for (int64_t c = p * channels; c < (p + 1) * channels; ++c) {
        const double difference = double{pixel[c + stride * channels]} - double{pixel[c]};
        squares += weight * difference * difference;
      }
    }
  };
  for (int64_t y = 0; y < height; ++y) add(y * width, width - 1, 1);
  add(0, (height - 1) * width, width);
  check_internal(weights > 0, "no neighbours in ", x0.shape());
  return level.alpha / level.sigma * std::sqrt(squares / (weights * static_cast<double>(channels)));
}

double default_switch_threshold(double cfg_scale) { return (1 + std::abs(cfg_scale)) / 80; }

AdaptiveSwitch::AdaptiveSwitch(int64_t images, double threshold, Tensor painted)
    : threshold_(threshold),
      painted_(std::move(painted)),
      serving_(static_cast<size_t>(images)),
      small_steps_(static_cast<size_t>(images)) {}

void AdaptiveSwitch::observe(const Tensor& x0, const NoiseLevel& level) {
  check_internal(x0.extent(0) == std::ssize(serving_), "x0 of ", x0.extent(0), " images, expected ",
                 serving_.size());
  for (int64_t n = 0; n < x0.extent(0); ++n) {
    const auto image = static_cast<size_t>(n);
    if (serving_[image] == 1) continue;
    ++small_steps_[image];
    const Tensor one = x0.slice(n, n + 1).reshape({x0.extent(1), x0.extent(2), x0.extent(3)});
    if (detail_to_noise(one, level, painted_) > threshold_) serving_[image] = 1;
  }
}

}  // namespace tstitch
