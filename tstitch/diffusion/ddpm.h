// DDPM: ancestral sampling (Ho et al. 2020, arXiv 2006.11239, Algorithm 2) between any two noise levels.
#pragma once

#include "tstitch/diffusion/solver.h"

namespace tstitch {

// x' ~ N(mean, variance); ' marks the level after the step, beta = 1 - (alpha / alpha')^2:
//   mean = (beta alpha' / sigma^2) x0 + (sigma'^2 (alpha / alpha') / sigma^2) x         (eq. 7)
//   posterior = beta sigma'^2 / sigma^2                                                 (eq. 7)
//   log variance = f log beta + (1 - f) log posterior,  f = (variance + 1) / 2          (IDDPM, eq. 15)
// The last where the network predicts a variance (IDDPM: Nichol & Dhariwal 2021, arXiv 2102.09672); without,
// the variance is the posterior's ("fixed small") or beta ("fixed large", large_variance). The step that ends
// clean returns its mean, but with the large variance only if it comes from t = 0, as in diffusers.
class Ddpm final : public Solver {
 public:
  explicit Ddpm(Backend& backend, bool large_variance = false)
      : backend_(backend), large_variance_(large_variance) {}

  Tensor step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) override;

 private:
  Backend& backend_;
  bool large_variance_;
};

}  // namespace tstitch
