// DPM-Solver++ (Lu et al. 2022, arXiv 2211.01095): multistep, up to third order, in x0.
#pragma once

#include <deque>

#include "tstitch/diffusion/solver.h"

namespace tstitch {

// With lambda = log(alpha / sigma), h = lambda' - lambda, H = h, or 2 h for the stochastic one, and D the
// mean of x0 over the step (Algorithm 2 and eq. 18; the stochastic one is appendix E):
//   x' = (sigma' / sigma) x + alpha' (1 - e^-H) D
//   x' = (sigma' / sigma) e^-h x + alpha' (1 - e^-H) D + sigma' sqrt(1 - e^-2h) noise      (SDE)
// D follows from the x0 of the steps before, h_1 and h_2 long: with r1 = h_1 / h, r2 = h_2 / h,
// d1 = (x0 - x0_1) / r1 and d2 = (x0_1 - x0_2) / r2,
//   D = x0                                                  order 1
//   D = x0 + w1 d1                                          order 2: w1 = 1/2, x0 in the middle of the step
//   D = x0 + w1 (d1 + r1 (d1 - d2) / (r1 + r2)) + w2 (d1 - d2) / (r1 + r2)       order 3
// where w1 = 1 / (1 - e^-H) - 1 / H and w2 = ((1 - e^-H - H) / H^2 + 1/2) / (1 - e^-H) are the weights of the
// slope and the curvature in the integral over the step (the paper's phi_2 and phi_3; `heun` takes that w1 in
// order 2 as well). The stochastic one has - 1/2 in w2, as diffusers has it, whose order falls to 2 by that.
// Of order 1 in the first step, in one that ends clean, where h is infinite, in one from a level to itself,
// and where the options want it.
class DpmSolverMultistep final : public Solver {
 public:
  DpmSolverMultistep(Backend& backend, bool stochastic, const SolverOptions& options)
      : backend_(backend), stochastic_(stochastic), options_(options) {}

  Tensor step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) override;
  void reset() override { history_.clear(); }

 private:
  struct Evaluation {
    double lambda;
    Tensor x0;
  };

  Tensor mean_x0(const Evaluation& now, double h, int order) const;

  Backend& backend_;
  bool stochastic_;
  SolverOptions options_;
  std::deque<Evaluation> history_;  // of the steps before, newest first, at most 2
};

}  // namespace tstitch
