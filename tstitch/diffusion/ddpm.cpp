#include "tstitch/diffusion/ddpm.h"

#include <cmath>

#include "tstitch/ops/ops.h"

namespace tstitch {

Tensor Ddpm::step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) {
  const auto [t, alpha, sigma] = step.level;
  const auto [t_next, alpha_next, sigma_next] = step.next;
  const double alpha_step = alpha / alpha_next;  // sqrt(1 - beta)
  const double beta = 1 - alpha_step * alpha_step;
  const double variance = sigma * sigma;
  const double variance_next = sigma_next * sigma_next;

  const Prediction at = denoise(x, step.level);

  // ---- Mean of q(x' | x, x0) (Ho et al. 2020, eq. 7).
  const Tensor mean = combine(
      backend_, {{beta * alpha_next / variance, &at.x0}, {variance_next * alpha_step / variance, &x}});
  if (sigma_next == 0 && !(large_variance_ && t > 0)) return mean;
  const Tensor fresh = noise();

  // ---- Its variance, or one between it and beta (Nichol & Dhariwal 2021, eq. 15), with f = (variance + 1)
  // / 2.
  const double posterior = beta * variance_next / variance;
  if (!at.variance || large_variance_)
    return combine(backend_, {{1, &mean}, {std::sqrt(large_variance_ ? beta : posterior), &fresh}});
  const double upper = std::log(beta), lower = std::log(posterior);
  const Tensor log_variance = combine(backend_, {{(upper - lower) / 2, &at.variance}}, (upper + lower) / 2);
  return add_noise(backend_, mean, log_variance, fresh);
}

}  // namespace tstitch
