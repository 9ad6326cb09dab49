#include "tstitch/diffusion/euler.h"

#include <cmath>

#include "tstitch/ops/ops.h"

namespace tstitch {

Tensor Euler::step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn) {
  const Prediction at = denoise(x, step.level);
  return combine(backend_, {{step.next.alpha, &at.x0}, {step.next.sigma, &at.eps}});
}

Tensor EulerAncestral::step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) {
  const double s = step.level.sigma / step.level.alpha;
  const double s_next = step.next.sigma / step.next.alpha;
  const double s_up = s_next * std::sqrt(1 - (s_next / s) * (s_next / s));
  const double s_down = s_next * s_next / s;
  const double alpha_next = step.next.alpha;

  const Prediction at = denoise(x, step.level);
  if (s_up == 0) return combine(backend_, {{alpha_next, &at.x0}, {alpha_next * s_down, &at.eps}});
  const Tensor fresh = noise();
  return combine(backend_,
                 {{alpha_next, &at.x0}, {alpha_next * s_down, &at.eps}, {alpha_next * s_up, &fresh}});
}

}  // namespace tstitch
