// PNDM's pseudo linear multistep method, PLMS (Liu et al. 2022, arXiv 2202.09778), with the start that Stable
// Diffusion uses.
#pragma once

#include <deque>

#include "tstitch/diffusion/solver.h"

namespace tstitch {

// The transfer along the flow (eq. 9; transfer.h) with eps extrapolated from the last four evaluations,
// newest first (eq. 12, Adams-Bashforth of order 4 and, while there are fewer, of order 3 and 2):
//   (55 e - 59 e1 + 37 e2 - 9 e3) / 24,   (23 e - 16 e1 + 5 e2) / 12,   (3 e - e1) / 2,   e
// The paper starts with three Runge-Kutta steps of four evaluations. Stable Diffusion (skip_prk_steps) starts
// with one Heun step: the second level comes twice in the trajectory, and the step between the two, which
// leads nowhere, takes the first step again with the mean of both slopes. So N timesteps give a trajectory
// of N + 1 steps, as many as evaluations, and the switch rules count the same steps as the reference. What
// the extra evaluation finds is not remembered. Of a network of v it is v that diffusers averages,
// `averages_v`: eps = alpha v + sigma x then is of the step's own x and level.
class Pndm final : public Solver {
 public:
  Pndm(Backend& backend, bool averages_v) : backend_(backend), averages_v_(averages_v) {}

  Tensor step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) override;
  void reset() override;

 private:
  Tensor eps_of(const Tensor& mean, const Tensor& x, const NoiseLevel& level) const;

  Backend& backend_;
  bool averages_v_;
  std::deque<Tensor> history_;       // eps or v of the steps before, newest first, at most 3
  Tensor start_;                     // x before the first of them,
  NoiseLevel start_level_ = kClean;  // and its level
};

}  // namespace tstitch
