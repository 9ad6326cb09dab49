#include "tstitch/diffusion/dpm2.h"

#include <cmath>

#include "tstitch/base/error.h"
#include "tstitch/ops/ops.h"

namespace tstitch {

Dpm2::Dpm2(Backend& backend, bool ancestral, const SolverOptions& options)
    : backend_(backend), ancestral_(ancestral), schedule_(options.schedule) {
  check_internal(schedule_ != nullptr, "DPM2 without a noise schedule");
}

Tensor Dpm2::step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) {
  const double alpha_next = step.next.alpha;
  const Prediction at = denoise(x, step.level);
  if (step.next.sigma == 0) return combine(backend_, {{alpha_next, &at.x0}});

  const NoiseLevel half_way = middle(step);
  const Tensor x_half = combine(backend_, {{half_way.alpha, &at.x0}, {half_way.sigma, &at.eps}});
  const Tensor x0_half = denoise(x_half, half_way).x0;

  const auto [s_down, s_up] = split(step);
  const double r = (ratio_of(step.level) - s_down) / ratio_of(half_way);
  const double a = alpha_next * (1 - r), b = alpha_next * r, c = alpha_next * s_down;
  if (s_up == 0) return combine(backend_, {{a, &at.x0}, {b, &x0_half}, {c, &at.eps}});
  const Tensor fresh = noise();
  return combine(backend_, {{a, &at.x0}, {b, &x0_half}, {c, &at.eps}, {alpha_next * s_up, &fresh}});
}

std::vector<NoiseLevel> Dpm2::evaluation_levels(const Step& step) const {
  if (step.next.sigma == 0) return {step.level};
  return {step.level, middle(step)};
}

AncestralSplit Dpm2::split(const Step& step) const {
  if (ancestral_) return ancestral_split(step);
  return {.s_down = ratio_of(step.next), .s_up = 0};
}

NoiseLevel Dpm2::middle(const Step& step) const {
  const double ratio = std::sqrt(ratio_of(step.level) * split(step).s_down);
  return level_of_ratio(schedule_->timestep_of_ratio(ratio), ratio);
}

}  // namespace tstitch
