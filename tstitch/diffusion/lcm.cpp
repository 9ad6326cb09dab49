#include "tstitch/diffusion/lcm.h"

#include <cmath>

#include "tstitch/ops/ops.h"

namespace tstitch {

constexpr double kDataDeviation = 0.5;

Tensor Lcm::step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) {
  const double t = timestep_scaling_ * step.level.t;
  const double squares = t * t + kDataDeviation * kDataDeviation;
  const double c_skip = kDataDeviation * kDataDeviation / squares;
  const double c_out = t / std::sqrt(squares);

  const Tensor x0 = denoise(x, step.level).x0;
  const Tensor denoised = combine(backend_, {{c_skip, &x}, {c_out, &x0}});
  if (step.next.sigma == 0) return denoised;
  const Tensor fresh = noise();
  return combine(backend_, {{step.next.alpha, &denoised}, {step.next.sigma, &fresh}});
}

}  // namespace tstitch
