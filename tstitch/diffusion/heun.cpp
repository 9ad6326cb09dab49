#include "tstitch/diffusion/heun.h"

#include "tstitch/diffusion/transfer.h"
#include "tstitch/ops/ops.h"

namespace tstitch {

Tensor Heun::step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn) {
  const Prediction at = denoise(x, step.level);
  const Tensor ahead = transfer(backend_, x, at.eps, step.level, step.next);
  if (step.next.sigma == 0) return ahead;

  const Prediction at_next = denoise(ahead, step.next);
  const Tensor slope = combine(backend_, {{0.5, &at.eps}, {0.5, &at_next.eps}});
  return transfer(backend_, x, slope, step.level, step.next);
}

std::vector<NoiseLevel> Heun::evaluation_levels(const Step& step) const {
  if (step.next.sigma == 0) return {step.level};
  return {step.level, step.next};
}

}  // namespace tstitch
