// DPM-Solver-2 in the coordinates of Karras et al. 2022 (k-diffusion's DPM2), deterministic and ancestral.
#pragma once

#include "tstitch/diffusion/ancestral.h"
#include "tstitch/diffusion/solver.h"

namespace tstitch {

// The midpoint rule: half a step, then the whole step with the slope found there. The middle is that of
// log(alpha / sigma), where r_1 = 1/2 of DPM-Solver-2 lies (Lu et al. 2022, arXiv 2206.00927, Algorithm 1);
// the step itself is straight in x / alpha over s = sigma / alpha, where slopes are eps:
//   x_m = alpha_m x0 + sigma_m eps,   x' / alpha' = x / alpha + (s_down - s) eps_m + s_up noise
// s_down = s' and s_up = 0, or ancestral as in ancestral.h. With eps_m = eps + (x0 - x0_m) / s_m nothing is
// multiplied with s, which may be in the thousands, only with r = (s - s_down) / s_m:
//   x' = alpha' ((1 - r) x0 + r x0_m + s_down eps + s_up noise)
//
// Two evaluations, both by the denoiser that serves the step; one on the step that ends clean.
class Dpm2 final : public Solver {
 public:
  // The options' schedule says at which timestep the middle lies.
  Dpm2(Backend& backend, bool ancestral, const SolverOptions& options);

  Tensor step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) override;
  std::vector<NoiseLevel> evaluation_levels(const Step& step) const override;

 private:
  // s_down and s_up.
  AncestralSplit split(const Step& step) const;
  NoiseLevel middle(const Step& step) const;

  Backend& backend_;
  bool ancestral_;
  std::shared_ptr<const NoiseSchedule> schedule_;
};

}  // namespace tstitch
