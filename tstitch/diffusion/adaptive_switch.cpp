#include "tstitch/diffusion/adaptive_switch.h"

#include <cmath>

#include "tstitch/base/error.h"

namespace tstitch {

double detail_to_noise(const Tensor& x0, const NoiseLevel& level) {
  const int64_t height = x0.extent(0), width = x0.extent(1), channels = x0.extent(2);
  const int64_t pairs = height * (width - 1) + (height - 1) * width;
  check_internal(pairs > 0, "no neighbours in ", x0.shape());
  const float* pixel = x0.data<float>();
  double squares = 0;
  // Of `count` numbers and those a stride behind them.
  const auto add = [&](const float* p, int64_t count, int64_t stride) {
    for (int64_t i = 0; i < count; ++i) {
      const double difference = double{p[i + stride]} - double{p[i]};
      squares += difference * difference;
    }
  };
  const int64_t row = width * channels;
  for (int64_t y = 0; y < height; ++y) add(pixel + y * row, row - channels, channels);
  add(pixel, (height - 1) * row, row);
  return level.alpha / level.sigma * std::sqrt(squares / static_cast<double>(pairs * channels));
}

double default_switch_threshold(double cfg_scale) { return (1 + std::abs(cfg_scale)) / 80; }

AdaptiveSwitch::AdaptiveSwitch(int64_t images, double threshold)
    : threshold_(threshold),
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
    if (detail_to_noise(one, level) > threshold_) serving_[image] = 1;
  }
}

}  // namespace tstitch
