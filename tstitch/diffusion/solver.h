// The rule that crosses one step of a trajectory.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/base/function_ref.h"
#include "tstitch/diffusion/denoiser.h"
#include "tstitch/diffusion/trajectory.h"

namespace tstitch {

using DenoiseFn = FunctionRef<Prediction(const Tensor& x, const NoiseLevel& level)>;
using NoiseFn = FunctionRef<Tensor()>;  // standard normal, of the shape of x; drawn only when called

class Solver {
 public:
  virtual ~Solver() = default;
  // From x at step.level to the returned x at step.next, both (N, H, W, C) f32. The whole step is served by
  // the one denoiser behind `denoise`, which is what makes the cost of a trajectory countable.
  virtual Tensor step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) = 0;
  // The levels at which a step asks its denoiser, in order: one for each evaluation.
  virtual std::vector<NoiseLevel> evaluation_levels(const Step& step) const { return {step.level}; }
  // Forgets what multistep solvers remember of earlier steps; called before the first one. The memory
  // survives a switch of the denoiser, as in the reference, unless SolverOptions say otherwise.
  virtual void reset() {}
};

struct SolverOptions {
  double eta = 0;                // DDIM: 0 deterministic ... 1 as much noise as DDPM; gamma of TCD
  bool reset_at_switch = false;  // multistep solvers start anew with every denoiser (reset_at_switch.h)
  int order = 2;                 // DPM-Solver++ and UniPC: 1 or 2, DEIS and DPM-Solver++ single step: 1 to 3
                                 // ("solver_order"),
  int first_order_at = -1;       // but falling to 1 in the step of this index ("lower_order_final")
  int left_out = 0;              // steps before the first: single steps are counted with them
  bool large_variance = false;   // DDPM: beta instead of the posterior's ("fixed_large")
  // Of the trajectory's levels, with finite ratios; DPM2 and TCD need levels between those.
  std::shared_ptr<const NoiseSchedule> schedule;

  int order_of(const Step& step) const {
    return step.index <= first_order_at ? std::min(order, first_order_at - step.index + 1) : order;
  }
};

std::string solver_names();  // "ddim, ddpm, ..."
bool is_solver(std::string_view name);

// What of SolverOptions and of the noise a solver takes notice of.
struct SolverTraits {
  bool eta = false;        // how much noise it adds is a choice
  bool multistep = false;  // remembers earlier steps
  bool noise = false;      // always adds noise
};
SolverTraits traits_of(std::string_view name);  // Error{usage} for an unknown one

// Throws Error{usage} for an unknown name, naming the known ones, and for options out of range;
// Error{internal} where a schedule is needed and there is none.
std::unique_ptr<Solver> make_solver(Backend& backend, std::string_view name, const SolverOptions& options);

}  // namespace tstitch
