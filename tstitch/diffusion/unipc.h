// UniPC (Zhao et al. 2023, arXiv 2302.04867): predictor-corrector of order 2, B(h) = e^h - 1 ("bh2"), in x0.
#pragma once

#include <optional>

#include "tstitch/diffusion/solver.h"

namespace tstitch {

// The predictor UniP-2 (Algorithm 2) goes to the next level as DPM-Solver++(2M) does. What the network finds
// there then serves twice: first the corrector UniC-2 (Algorithm 1) takes the step that led there again, now
// with both its ends known, then the predictor goes on from the corrected x. Hence order 3 for one evaluation
// a step. Of order 1 on the first step and the one that ends clean, which is not corrected; and
// of order 1 where the options want that.
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

  Tensor predict(const Tensor& x, const Step& step) const;
  Tensor correct(const Evaluation& now) const;

  Backend& backend_;
  SolverOptions options_;
  std::optional<Evaluation> m0_, m1_;  // of the last step and the one before
  Tensor x_;                           // corrected, at m0_'s level
};

}  // namespace tstitch
