// Latent consistency models (Luo et al. 2023, arXiv 2310.04378), for networks distilled to answer with x0 at
// once: two to eight steps.
#pragma once

#include "tstitch/diffusion/solver.h"

namespace tstitch {

// Multistep consistency sampling (Song et al. 2023, arXiv 2303.01469, Algorithm 1): denoise, add fresh noise
// of the next level.
//   denoised = c_skip x + c_out x0,   x' = alpha' denoised + sigma' noise
//   c_skip = d^2 / ((s t)^2 + d^2),  c_out = s t / sqrt((s t)^2 + d^2),  d = 1/2,  s = 10
// c_skip and c_out (Song et al., appendix C, with the timestep scaled by s) make the network the identity at
// t = 0; from t = 1 on they are 0 and 1 but for 0.3 %. The step that ends clean returns `denoised`.
class Lcm final : public Solver {
 public:
  explicit Lcm(Backend& backend, double timestep_scaling = 10)
      : backend_(backend), timestep_scaling_(timestep_scaling) {}

  Tensor step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) override;

 private:
  Backend& backend_;
  double timestep_scaling_;
};

}  // namespace tstitch
