// Trajectory consistency distillation (Zheng et al. 2024, arXiv 2402.19159), for networks distilled to jump
// along the probability flow: two to eight steps.
#pragma once

#include "tstitch/diffusion/solver.h"

namespace tstitch {

// Strategic stochastic sampling (Algorithm 4): jump along the flow below the next timestep t', to s, and add
// noise up to it.
//   s = floor((1 - gamma) t'),   x_s = alpha_s x0 + sigma_s eps
//   x' = (alpha' / alpha_s) x_s + sqrt(1 - (alpha' / alpha_s)^2) noise
// gamma is the options' eta: 0 deterministic, DDIM's step; 1 as much noise as an LCM adds.
class Tcd final : public Solver {
 public:
  // The options' schedule has the level of s. Throws Error{usage} unless 0 <= eta <= 1.
  Tcd(Backend& backend, const SolverOptions& options);

  Tensor step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) override;

 private:
  NoiseLevel below(const NoiseLevel& next) const;

  Backend& backend_;
  double gamma_;
  std::shared_ptr<const NoiseSchedule> schedule_;
};

}  // namespace tstitch
