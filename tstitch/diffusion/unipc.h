// UniPC (Zhao et al. 2023, arXiv 2302.04867): predictor-corrector of order 1 to 3, in x0.
#pragma once

#include <deque>

#include "tstitch/diffusion/solver.h"

namespace tstitch {

// The predictor UniP (Algorithm 2) goes to the next level; of order 2 it is DPM-Solver++(2M). What the
// network finds there then serves twice: first the corrector UniC (Algorithm 1) takes the step that led there
// again, now with both its ends known, then the predictor goes on from the corrected x. Hence order p + 1 for
// one evaluation a step. Of order 1 on the first step, the one that ends clean, which is not corrected, and
// one from a level to itself; and of lower order where the options want that.
class UniPc final : public Solver {
 public:
  UniPc(Backend& backend, const SolverOptions& options) : backend_(backend), options_(options) {}

  Tensor step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) override;
  void reset() override;

 private:
  struct Evaluation {
    NoiseLevel level;
    Tensor x0;
  };

  // From x_ at the level of the newest evaluation. x0_there: null for the predictor.
  Tensor advance(const NoiseLevel& to, int order, const Tensor* x0_there) const;

  Backend& backend_;
  SolverOptions options_;
  std::deque<Evaluation> history_;  // newest first, as many as the order
  Tensor x_;                        // corrected, at the newest one's level
  int order_ = 1;                   // of the last step,
  bool corrected_ = true;           // and whether it is to be corrected
};

}  // namespace tstitch
