#include "tstitch/diffusion/guidance.h"

#include <utility>

#include "tstitch/ops/ops.h"

namespace tstitch {

GuidedDenoiser::GuidedDenoiser(Backend& backend, std::unique_ptr<Denoiser> base, double scale,
                               int64_t channels)
    : backend_(backend), base_(std::move(base)), scale_(scale), channels_(channels) {}

Prediction GuidedDenoiser::predict(const Tensor& x, const NoiseLevel& level) const {
  const int64_t n = x.extent(0);
  const Prediction both = base_->predict(repeat(backend_, x, 2), level);  // (2N, H, W, C)
  Prediction guided;
  guided.eps = guide(backend_, both.eps.slice(0, n), both.eps.slice(n, 2 * n), scale_, channels_);
  guided.x0 = guide(backend_, both.x0.slice(0, n), both.x0.slice(n, 2 * n), scale_, channels_);
  if (both.variance) guided.variance = both.variance.slice(0, n);
  return guided;
}

void GuidedDenoiser::prepare(std::span<const NoiseLevel> levels) { base_->prepare(levels); }

}  // namespace tstitch
