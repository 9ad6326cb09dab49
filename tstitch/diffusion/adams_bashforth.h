// Adams and Bashforth's multistep methods on the probability flow, for steps that are not even: LMS and DEIS.
#pragma once

#include <deque>

#include "tstitch/diffusion/solver.h"

namespace tstitch {

// With s = sigma / alpha the flow is d(x / alpha) = eps ds (Karras et al. 2022, arXiv 2206.00364, eq. 4). eps
// is continued as the polynomial in u through the last evaluations, k = 0 the newest, which is integrated
// exactly (Zhang & Chen 2023, arXiv 2204.13902, eq. 14 and 15):
//   x' / alpha' = x / alpha + sum_k w_k eps_k,   w_k = integral from s to s' of prod_{j != k} (u - u_j) /
//                                                      (u_k - u_j) ds
// LMS has u = s and order 4 (k-diffusion; the paper's rhoAB-DEIS), DEIS u = log s and the options' order
// ("logrho"). Orders are lower while there are fewer evaluations; DEIS has order 1 on a step that ends clean.
class AdamsBashforth final : public Solver {
 public:
  enum class In { ratio, log_ratio };  // u

  AdamsBashforth(Backend& backend, In u, const SolverOptions& options)
      : backend_(backend), u_(u), options_(options) {}

  Tensor step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) override;
  void reset() override { history_.clear(); }

 private:
  struct Evaluation {
    NoiseLevel level;
    Tensor eps;
  };

  // w_k of the evaluations that this step uses.
  std::vector<double> weights(const Step& step) const;

  Backend& backend_;
  In u_;
  SolverOptions options_;
  std::deque<Evaluation> history_;  // newest first, this step's included
};

}  // namespace tstitch
