#include "tstitch/diffusion/euler.h"

#include "tstitch/diffusion/ancestral.h"
#include "tstitch/ops/ops.h"

namespace tstitch {

Tensor Euler::step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn) {
  const Prediction at = denoise(x, step.level);
  return combine(backend_, {{step.next.alpha, &at.x0}, {step.next.sigma, &at.eps}});
}

Tensor EulerAncestral::step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) {
  const auto [s_down, s_up] = ancestral_split(step);
  const double alpha_next = step.next.alpha;

  const Prediction at = denoise(x, step.level);
  if (s_up == 0) return combine(backend_, {{alpha_next, &at.x0}, {alpha_next * s_down, &at.eps}});
  const Tensor fresh = noise();
  return combine(backend_,
                 {{alpha_next, &at.x0}, {alpha_next * s_down, &at.eps}, {alpha_next * s_up, &fresh}});
}

}  // namespace tstitch
