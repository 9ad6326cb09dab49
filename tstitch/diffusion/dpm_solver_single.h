// DPM-Solver++ in single steps (Lu et al. 2022, arXiv 2211.01095, Algorithm 1 and appendix D), in x0.
#pragma once

#include "tstitch/diffusion/solver.h"

namespace tstitch {

// One step of order k crosses k levels of the trajectory and asks at each. It is taken here as diffusers
// takes it, level by level: k consecutive steps of the trajectory all start from the x at the first of their
// levels, with one evaluation more each, of orders 1, 2, ... k, and only what the last one gives leads on. So
// every step of the trajectory is one evaluation, and whoever serves it is asked once. With lambda =
// log(alpha / sigma), h = lambda' - lambda and x0_1 the newest evaluation, r h above the first:
//   x' = (sigma' / sigma) x - alpha' (e^-h - 1) x0 + w (x0_1 - x0) / r
//   w = 0,   -alpha' (e^-h - 1) / 2,   alpha' ((e^-h - 1) / h + 1)
// of order 1, 2, 3; the second evaluation of order 3 serves only to find where the third is. Of order 1 on
// the step that ends clean, and lower where the options or a history that was forgotten want that.
class DpmSolverSingle final : public Solver {
 public:
  DpmSolverSingle(Backend& backend, const SolverOptions& options) : backend_(backend), options_(options) {}

  Tensor step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) override;
  void reset() override;

 private:
  int order_of(const Step& step) const;

  Backend& backend_;
  SolverOptions options_;
  int evaluations_ = 0;        // since the first level, that one's included
  NoiseLevel level_ = kClean;  // the first one, and there:
  Tensor x_, x0_;
};

}  // namespace tstitch
