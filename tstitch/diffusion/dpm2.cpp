#include "tstitch/diffusion/dpm2.h"

#include <cmath>

#include "tstitch/base/error.h"
#include "tstitch/diffusion/transfer.h"
#include "tstitch/ops/ops.h"

namespace tstitch {

Dpm2::Dpm2(Backend& backend, bool ancestral, const SolverOptions& options)
    : backend_(backend), ancestral_(ancestral), schedule_(options.schedule) {
  check_internal(schedule_ != nullptr, "DPM2 without a noise schedule");
}

Tensor Dpm2::step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) {
  const Tensor eps = denoise(x, step.level).eps;
  if (step.next.sigma == 0) return transfer(backend_, x, eps, step.level, step.next);

  const NoiseLevel half_way = middle(step);
  const Tensor x_half = transfer(backend_, x, eps, step.level, half_way);
  const Tensor slope = denoise(x_half, half_way).eps;

  const auto [s_down, s_up] = split(step);
  const double alpha_next = step.next.alpha;
  const Tensor down = transfer(backend_, x, slope, step.level,
                               {.t = step.next.t, .alpha = alpha_next, .sigma = alpha_next * s_down});
  if (s_up == 0) return down;
  const Tensor fresh = noise();
  return combine(backend_, {{1, &down}, {alpha_next * s_up, &fresh}});
}

std::vector<NoiseLevel> Dpm2::evaluation_levels(const Step& step) const {
  if (step.next.sigma == 0) return {step.level};
  return {step.level, middle(step)};
}

AncestralSplit Dpm2::split(const Step& step) const {
  if (ancestral_) return ancestral_split(step);
  return {.s_down = step.next.sigma / step.next.alpha, .s_up = 0};
}

NoiseLevel Dpm2::middle(const Step& step) const {
  const double ratio = std::sqrt(step.level.sigma / step.level.alpha * split(step).s_down);
  return level_of_ratio(schedule_->timestep_of_ratio(ratio), ratio);
}

}  // namespace tstitch
