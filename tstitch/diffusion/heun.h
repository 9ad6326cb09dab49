// Heun's second order method on the probability flow (Karras et al. 2022, arXiv 2206.00364, Algorithm 1).
#pragma once

#include "tstitch/diffusion/solver.h"

namespace tstitch {

// An Euler step, then the same step again with the mean of the slopes at both its ends; slopes are eps (see
// transfer.h). Two evaluations, both by the denoiser that serves the step; one on the step that ends clean.
class Heun final : public Solver {
 public:
  explicit Heun(Backend& backend) : backend_(backend) {}

  Tensor step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) override;
  std::vector<NoiseLevel> evaluation_levels(const Step& step) const override;

 private:
  Backend& backend_;
};

}  // namespace tstitch
