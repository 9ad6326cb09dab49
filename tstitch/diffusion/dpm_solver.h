// DPM-Solver++ (Lu et al. 2022, arXiv 2211.01095): multistep, second order, in x0.
#pragma once

#include <optional>

#include "tstitch/diffusion/solver.h"

namespace tstitch {

// With lambda = log(alpha / sigma), h = lambda' - lambda, and of the step before, x0_1 and r = (lambda -
// lambda_1) / h (DPM-Solver++(2M), Algorithm 2; for the stochastic one eq. 18 and appendix E):
//   D = (1 + 1 / 2r) x0 - (1 / 2r) x0_1
//   x' = (sigma' / sigma) x - alpha' (e^-h - 1) D
//   x' = (sigma' / sigma) e^-h x + alpha' (1 - e^-2h) D + sigma' sqrt(1 - e^-2h) noise      (SDE)
// D = x0 on the first step, on the one that ends clean, where h is infinite, and where the options want
// order 1.
class DpmSolver2M final : public Solver {
 public:
  DpmSolver2M(Backend& backend, bool stochastic, const SolverOptions& options)
      : backend_(backend), stochastic_(stochastic), options_(options) {}

  Tensor step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) override;
  void reset() override { previous_.reset(); }

 private:
  struct Evaluation {
    NoiseLevel level;
    Tensor x0;
  };

  Backend& backend_;
  bool stochastic_;
  SolverOptions options_;
  std::optional<Evaluation> previous_;
};

}  // namespace tstitch
