#include "tstitch/diffusion/denoiser.h"

#include <utility>
#include <vector>

#include "tstitch/base/error.h"
#include "tstitch/ops/ops.h"

namespace tstitch {

std::string_view name_of(Parameterization parameterization) {
  constexpr std::string_view kNames[] = {"eps", "v", "x0", "flow"};
  return kNames[static_cast<size_t>(parameterization)];
}

Tensor x0_from_eps(Backend& backend, const Tensor& x, const Tensor& eps, const NoiseLevel& level) {
  return combine(backend, {{1 / level.alpha, &x}, {-level.sigma / level.alpha, &eps}});
}

NetworkDenoiser::NetworkDenoiser(Backend& backend, std::unique_ptr<Network> network,
                                 Parameterization parameterization)
    : backend_(backend), network_(std::move(network)), parameterization_(parameterization) {}

Prediction NetworkDenoiser::predict(const Tensor& x, const NoiseLevel& level) const {
  const Tensor raw = (*network_)(x, level.t);  // (N, H, W, C) or (N, H, W, 2C)
  const int64_t channels = x.columns();
  check_internal(raw.columns() == channels || raw.columns() == 2 * channels, "the network returned ",
                 raw.shape(), " for x ", x.shape(), ", expected as many channels or twice as many");
  const Tensor out = raw.slice_columns(0, channels);
  const auto [t, alpha, sigma] = level;
  Prediction at;
  if (raw.columns() == 2 * channels) at.variance = raw.slice_columns(channels, 2 * channels);
  switch (parameterization_) {
    case Parameterization::eps:
      at.x0 = x0_from_eps(backend_, x, out, level);
      at.eps = out;
      break;
    case Parameterization::v:
      at.x0 = combine(backend_, {{alpha, &x}, {-sigma, &out}});
      at.eps = combine(backend_, {{sigma, &x}, {alpha, &out}});
      break;
    case Parameterization::x0:
      at.x0 = out;
      at.eps = combine(backend_, {{1 / sigma, &x}, {-alpha / sigma, &out}});
      break;
    case Parameterization::flow:
      at.x0 = combine(backend_, {{1, &x}, {-sigma, &out}});
      at.eps = combine(backend_, {{1, &x}, {alpha, &out}});
      break;
  }
  return at;
}

void NetworkDenoiser::prepare(std::span<const NoiseLevel> levels) {
  std::vector<double> timesteps;
  timesteps.reserve(levels.size());
  for (const NoiseLevel& level : levels) timesteps.push_back(level.t);
  network_->prepare(timesteps);
}

}  // namespace tstitch
