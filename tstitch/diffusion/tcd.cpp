#include "tstitch/diffusion/tcd.h"

#include <cmath>

#include "tstitch/base/error.h"
#include "tstitch/ops/ops.h"

namespace tstitch {

Tcd::Tcd(Backend& backend, const SolverOptions& options)
    : backend_(backend), gamma_(options.eta), schedule_(options.schedule) {
  check(0 <= gamma_ && gamma_ <= 1, ErrorKind::usage, "eta ", gamma_, ", expected 0 to 1");
  check_internal(schedule_ != nullptr, "TCD without a noise schedule");
}

Tensor Tcd::step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) {
  const NoiseLevel s = below(step.next);
  const double scale = step.next.alpha / s.alpha;

  const Prediction at = denoise(x, step.level);
  if (scale == 1) return combine(backend_, {{s.alpha, &at.x0}, {s.sigma, &at.eps}});
  const Tensor fresh = noise();
  return combine(
      backend_,
      {{step.next.alpha, &at.x0}, {scale * s.sigma, &at.eps}, {std::sqrt(1 - scale * scale), &fresh}});
}

// `next` itself where gamma is 0 or there is nothing below it.
NoiseLevel Tcd::below(const NoiseLevel& next) const {
  const double t = std::floor((1 - gamma_) * next.t);
  return t < next.t ? schedule_->level(static_cast<int>(t)) : next;
}

}  // namespace tstitch
