// The noise levels of rectified flows (Liu et al. 2022, arXiv 2209.03003; Lipman et al. 2023, arXiv
// 2210.02747), where x moves on straight lines between noise and data: x = (1 - sigma) x0 + sigma eps.
#pragma once

#include <vector>

#include "tstitch/diffusion/noise_schedule.h"

namespace tstitch {

struct FlowSchedule {
  // More time in the noise for larger images: sigma -> shift sigma / (1 + (shift - 1) sigma) (Esser et al.
  // 2024, arXiv 2403.03206, eq. 23; Stable Diffusion 3: 3).
  double shift = 1;
  int train_timesteps = 1000;  // T: the network is told t = T sigma

  // N + 1 levels from pure noise (alpha = 0) to kClean. As diffusers' FlowMatchEulerDiscreteScheduler: evenly
  // spaced from 1 to the shifted 1 / T, and then shifted, so that the last sigma above 0 is shifted twice.
  // Throws Error{usage} unless 1 <= steps <= T, Error{input} unless shift > 0.
  std::vector<NoiseLevel> levels(int steps) const;
};

}  // namespace tstitch
