#include "tstitch/diffusion/ddim.h"

#include <algorithm>
#include <cmath>

#include "tstitch/base/error.h"
#include "tstitch/ops/ops.h"

namespace tstitch {

Ddim::Ddim(Backend& backend, double eta) : backend_(backend), eta_(eta) {
  check(0 <= eta && eta <= 1, ErrorKind::usage, "eta ", eta, ", expected 0 to 1");
}

Tensor Ddim::step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) {
  const auto [t, alpha, sigma] = step.level;
  const auto [t_next, alpha_next, sigma_next] = step.next;

  const Prediction at = denoise(x, step.level);

  // ---- How much of the noise is fresh (equation 16).
  const double s = eta_ * (sigma_next / sigma) * std::sqrt(1 - (alpha / alpha_next) * (alpha / alpha_next));
  // Never negative but by rounding: with eta = 1 and almost no signal left, s is almost sigma'.
  const double direction = std::sqrt(std::max(0.0, sigma_next * sigma_next - s * s));

  // ---- Predicted x0, direction pointing to x, random noise (equation 12).
  if (s == 0) return combine(backend_, {{alpha_next, &at.x0}, {direction, &at.eps}});
  const Tensor fresh = noise();
  return combine(backend_, {{alpha_next, &at.x0}, {direction, &at.eps}, {s, &fresh}});
}

}  // namespace tstitch
