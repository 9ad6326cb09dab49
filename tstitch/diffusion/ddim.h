// DDIM (Song et al. 2021, arXiv 2010.02502).
#pragma once

#include "tstitch/diffusion/solver.h"

namespace tstitch {

// With abar = alpha^2 and 1 - abar = sigma^2; ' marks the level after the step:
//   x' = alpha' x0 + sqrt(sigma'^2 - s^2) eps + s noise          (eq. 12)
//   s = eta (sigma' / sigma) sqrt(1 - (alpha / alpha')^2)        (eq. 16)
// Deterministic for eta = 0: then no noise is drawn. On the step that ends clean, s is 0 by itself.
class Ddim final : public Solver {
 public:
  // Throws Error{usage} unless 0 <= eta <= 1.
  Ddim(Backend& backend, double eta);

  Tensor step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) override;

 private:
  Backend& backend_;
  double eta_;
};

}  // namespace tstitch
