#include "tstitch/diffusion/denoiser.h"

#include <algorithm>
#include <utility>

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

NetworkDenoiser::NetworkDenoiser(Backend& backend, Evaluator& evaluator, const Network& network,
                                 BoundRows rows, Parameterization parameterization, double guidance,
                                 const CheaperForm& form)
    : backend_(backend),
      evaluator_(evaluator),
      network_(network),
      rows_(std::move(rows)),
      parameterization_(parameterization),
      guidance_(guidance),
      form_(form),
      asked_(rows_.size()) {}

Prediction NetworkDenoiser::predict(const Tensor& x, const NoiseLevel& level) const {
  check_internal(x.extent(0) == std::ssize(rows_), "x ", x.shape(), " for ", rows_.size(), " rows");
  const std::span<const double> ahead = ahead_of(level.t);
  for (size_t n = 0; n < rows_.size(); ++n) {
    BoundRow& row = *rows_[n];
    asked_[n] = {.t = level.t,
                 .condition = row.condition.get(),
                 .guidance = guidance_,
                 .controls = row.controls,
                 .ahead = ahead,
                 .form = form_,
                 .context = {row.seed, row.image, row.evaluations, &row.kept, row.whole}};
  }
  const Tensor raw = evaluator_.evaluate(network_, x, asked_);  // (N, H, W, C) or (N, H, W, 2C)
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
  timesteps_.clear();
  for (const NoiseLevel& level : levels) timesteps_.push_back(level.t);
  next_ = 0;
}

std::span<const double> NetworkDenoiser::ahead_of(double t) const {
  const std::span<const double> ahead = std::span(timesteps_).subspan(next_);
  const auto found = std::ranges::find(ahead, t);
  if (found == ahead.end()) return {};
  next_ += static_cast<size_t>(found - ahead.begin());
  const auto from_here = std::span(timesteps_).subspan(next_);
  ++next_;
  return from_here;
}

}  // namespace tstitch
