// Euler's method on the probability flow, deterministic and ancestral (Karras et al. 2022, arXiv 2206.00364;
// k-diffusion), and on rectified flows.
#pragma once

#include "tstitch/diffusion/solver.h"

namespace tstitch {

// With s = sigma / alpha and x / alpha as coordinates the flow is d(x / alpha) = eps ds (Karras et al., eq.
// 4), and one Euler step is
//   x' / alpha' = x / alpha + (s' - s) eps,   so   x' = alpha' x0 + sigma' eps
// Written the second way it is DDIM with eta 0, and on the levels of a rectified flow its Euler step x' = x +
// (sigma' - sigma) (eps - x0) (Esser et al. 2024, arXiv 2403.03206), also from pure noise, alpha = 0.
class Euler final : public Solver {
 public:
  explicit Euler(Backend& backend) : backend_(backend) {}

  Tensor step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) override;

 private:
  Backend& backend_;
};

// Euler's step to a lower level, s_down, and fresh noise up to the next (ancestral.h):
//   x' = alpha' (x0 + s_down eps + s_up noise)
// On variance-preserving levels this is DDIM with eta 1.
class EulerAncestral final : public Solver {
 public:
  explicit EulerAncestral(Backend& backend) : backend_(backend) {}

  Tensor step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) override;

 private:
  Backend& backend_;
};

}  // namespace tstitch
