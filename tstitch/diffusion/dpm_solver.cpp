#include "tstitch/diffusion/dpm_solver.h"

#include <cmath>

#include "tstitch/ops/ops.h"

namespace tstitch {

Tensor DpmSolver2M::step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) {
  const auto [t_next, alpha_next, sigma_next] = step.next;
  const double lambda = half_log_snr(step.level);
  const double h = half_log_snr(step.next) - lambda;
  const double scale = sigma_next / step.level.sigma;

  const Tensor x0 = denoise(x, step.level).x0;

  // ---- The x0 of the whole step, extrapolated to its middle.
  Tensor D = x0;
  if (previous_ && sigma_next > 0 && options_.order_of(step) > 1) {
    const double r = (lambda - half_log_snr(previous_->level)) / h;
    D = combine(backend_, {{1 + 1 / (2 * r), &x0}, {-1 / (2 * r), &previous_->x0}});
  }
  previous_ = {.level = step.level, .x0 = x0};

  if (!stochastic_) return combine(backend_, {{scale, &x}, {-alpha_next * std::expm1(-h), &D}});
  const double fresh_share = -std::expm1(-2 * h);  // of sigma'^2
  if (sigma_next == 0) return combine(backend_, {{alpha_next, &D}});
  const Tensor fresh = noise();
  return combine(backend_, {{scale * std::exp(-h), &x},
                            {alpha_next * fresh_share, &D},
                            {sigma_next * std::sqrt(fresh_share), &fresh}});
}

}  // namespace tstitch
