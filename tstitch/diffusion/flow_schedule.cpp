#include "tstitch/diffusion/flow_schedule.h"

#include "tstitch/base/error.h"

namespace tstitch {

std::vector<NoiseLevel> FlowSchedule::levels(int steps) const {
  check(shift > 0, ErrorKind::input, "a flow schedule with the shift ", shift, ", expected more than 0");
  check(1 <= steps && steps <= train_timesteps, ErrorKind::usage, "steps ", steps, ", expected 1 to ",
        train_timesteps);
  const auto shifted = [&](double sigma) { return shift * sigma / (1 + (shift - 1) * sigma); };
  const double smallest = shifted(1.0 / train_timesteps);
  std::vector<NoiseLevel> levels;
  for (int i = 0; i < steps; ++i) {
    const double sigma = shifted(i == 0 ? 1 : 1 + i * (smallest - 1) / (steps - 1));
    levels.push_back({.t = sigma * train_timesteps, .alpha = 1 - sigma, .sigma = sigma});
  }
  levels.push_back(kClean);
  return levels;
}

}  // namespace tstitch
