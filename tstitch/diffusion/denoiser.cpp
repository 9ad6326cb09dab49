#include "tstitch/diffusion/denoiser.h"

#include <utility>
#include <vector>

#include "tstitch/base/error.h"
#include "tstitch/ops/ops.h"

namespace tstitch {

Tensor x0_from_eps(Backend& backend, const Tensor& x, const Tensor& eps, const NoiseLevel& level) {
  return combine(backend, {{1 / level.alpha, &x}, {-level.sigma / level.alpha, &eps}});
}

EpsDenoiser::EpsDenoiser(Backend& backend, std::unique_ptr<Network> network)
    : backend_(backend), network_(std::move(network)) {}

Prediction EpsDenoiser::predict(const Tensor& x, const NoiseLevel& level) const {
  const Tensor out = (*network_)(x, level.t);  // (N, H, W, C) or (N, H, W, 2C)
  const int64_t channels = x.columns();
  check_internal(out.columns() == channels || out.columns() == 2 * channels, "the network returned ",
                 to_string(out.shape()), " for x ", to_string(x.shape()),
                 ", expected as many channels or twice as many");
  Prediction prediction;
  prediction.eps = out.slice_columns(0, channels);
  if (out.columns() == 2 * channels) prediction.v = out.slice_columns(channels, 2 * channels);
  prediction.x0 = x0_from_eps(backend_, x, prediction.eps, level);
  return prediction;
}

void EpsDenoiser::prepare(std::span<const NoiseLevel> levels) {
  std::vector<double> timesteps;
  timesteps.reserve(levels.size());
  for (const NoiseLevel& level : levels) timesteps.push_back(level.t);
  network_->prepare(timesteps);
}

}  // namespace tstitch
