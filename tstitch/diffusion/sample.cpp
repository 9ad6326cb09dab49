#include "tstitch/diffusion/sample.h"

#include <utility>
#include <vector>

#include "tstitch/base/error.h"

namespace tstitch {

namespace {

class FixedRouter final : public Router {
 public:
  explicit FixedRouter(std::span<Denoiser* const> denoisers) : denoisers_(denoisers) {}
  Prediction predict(const Step& step, const Tensor& x, const NoiseLevel& level) override {
    return denoisers_[static_cast<size_t>(step.denoiser)]->predict(x, level);
  }

 private:
  std::span<Denoiser* const> denoisers_;
};

}  // namespace

std::vector<NoiseLevel> levels_asked(const Trajectory& trajectory, const Solver& solver, int denoiser) {
  std::vector<NoiseLevel> levels;
  for (const Step& step : trajectory)
    if (step.denoiser == denoiser) {
      const std::vector<NoiseLevel> asked = solver.evaluation_levels(step);
      levels.insert(levels.end(), asked.begin(), asked.end());
    }
  return levels;
}

Sampled sample(const Trajectory& trajectory, Router& router, Solver& solver, NoiseSource& noise, Tensor x,
               Observer* observer) {
  solver.reset();
  for (const Step& step : trajectory) {
    if (observer) observer->before(step);
    x = solver.step(
        [&](const Tensor& x_at, const NoiseLevel& level) { return router.predict(step, x_at, level); }, x,
        step, [&] { return noise.step(step.index); });
    if (observer && !observer->after(step, x)) return {std::move(x), true};
  }
  return {std::move(x), false};
}

Sampled sample(const Trajectory& trajectory, std::span<Denoiser* const> denoisers, Solver& solver,
               NoiseSource& noise, Tensor x, Observer* observer) {
  for (const Step& step : trajectory)
    check(step.denoiser < std::ssize(denoisers), ErrorKind::usage, "step ", step.index + 1,
          " of the trajectory is for model ", step.denoiser + 1, ", but there are ", denoisers.size());
  for (int i = 0; i < std::ssize(denoisers); ++i)
    if (trajectory.steps_of(i) > 0)
      denoisers[static_cast<size_t>(i)]->prepare(levels_asked(trajectory, solver, i));
  FixedRouter router(denoisers);
  return sample(trajectory, router, solver, noise, std::move(x), observer);
}

}  // namespace tstitch
