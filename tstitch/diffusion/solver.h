// The rule that crosses one step of a trajectory.
#pragma once

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
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

// What thresholding.h does to x0.
struct Thresholding {
  double ratio = 0.995, most = 1;  // "dynamic_thresholding_ratio", "sample_max_value"

  bool operator==(const Thresholding&) const = default;
};

// Beside the first two these are the settings of a folder's scheduler ("solver_order", ...).
struct SolverOptions {
  double eta = 0;                // DDIM: 0 deterministic ... 1 as much noise as DDPM
  bool reset_at_switch = false;  // multistep solvers start anew with every denoiser (reset_at_switch.h)

  int order = 2;            // DPM-Solver++ and UniPC: 1 ... 3 ("solver_order"),
  int first_order_at = -1;  // but 1 in the step of this index ("euler_at_final"),
  int end =
      std::numeric_limits<int>::max();  // and at most as many as steps are left to it ("lower_order_final")
  bool heun = false;                    // DPM-Solver++: "solver_type" heun, see dpm_solver.h
  bool bh1 = false;                     // UniPC: "solver_type" bh1
  std::vector<int> uncorrected;         // UniPC: steps ("disable_corrector")
  bool averages_v = false;              // PNDM, see there
  bool large_variance = false;          // DDPM: beta instead of the posterior's ("fixed_large")
  double timestep_scaling = 10;         // LCM, see there
  std::optional<Thresholding> thresholding;

  int order_of(const Step& step) const {
    return step.index == first_order_at ? 1 : std::min(order, end - step.index);
  }
};

// The settings that are not the defaults, in diffusers' words: "solver_order 3, solver_type heun"; "" where
// all are.
std::string scheduler_settings(const SolverOptions& options);

std::string solver_names();  // "ddim, ddpm, ..."
bool is_solver(std::string_view name);

// What of SolverOptions and of the noise a solver takes notice of.
struct SolverTraits {
  bool eta = false;        // how much noise it adds is a choice
  bool multistep = false;  // remembers earlier steps
  bool noise = false;      // always adds noise
};
SolverTraits traits_of(std::string_view name);  // Error{usage} for an unknown one

// Throws Error{usage} for an unknown name, naming the known ones, and for options out of range.
std::unique_ptr<Solver> make_solver(Backend& backend, std::string_view name, const SolverOptions& options);

}  // namespace tstitch
