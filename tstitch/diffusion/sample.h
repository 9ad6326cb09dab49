// The sampling loop: the only place where trajectory, denoisers, solver and noise meet.
#pragma once

#include <span>
#include <vector>

#include "tstitch/diffusion/denoiser.h"
#include "tstitch/diffusion/noise.h"
#include "tstitch/diffusion/solver.h"
#include "tstitch/diffusion/trajectory.h"

namespace tstitch {

// Who answers what a solver asks in a step of a trajectory.
class Router {
 public:
  virtual ~Router() = default;
  // x: (N, H, W, C) f32 at that level.
  virtual Prediction predict(const Step& step, const Tensor& x, const NoiseLevel& level) = 0;
};

// Told about every step, from the thread that samples: for progress, timing, and cancelling.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void before(const Step& /*step*/) {}
  // x: (N, H, W, C) at step.next. Returning false cancels the rest.
  virtual bool after(const Step& /*step*/, const Tensor& /*x*/) { return true; }
};

// The levels at which a denoiser will be asked along a trajectory, in order: as many as its evaluations.
std::vector<NoiseLevel> levels_asked(const Trajectory& trajectory, const Solver& solver, int denoiser);

struct Sampled {
  Tensor x;  // (N, H, W, C) f32 at the end of the trajectory, or where it was cancelled
  bool cancelled = false;
};

// Walks x, (N, H, W, C) f32 at the trajectory's first level, to its last; from pure noise, x =
// noise.initial().
Sampled sample(const Trajectory& trajectory, Router& router, Solver& solver, NoiseSource& noise, Tensor x,
               Observer* observer = nullptr);

// The same where every step is answered by denoisers[Step::denoiser]; each is first told the levels it will
// serve. Throws Error{usage} when the trajectory names a denoiser that does not exist.
Sampled sample(const Trajectory& trajectory, std::span<Denoiser* const> denoisers, Solver& solver,
               NoiseSource& noise, Tensor x, Observer* observer = nullptr);

}  // namespace tstitch
