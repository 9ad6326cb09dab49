#pragma once

#include <cmath>

#include "tstitch/diffusion/trajectory.h"

namespace tstitch {

// How an ancestral step (Karras et al. 2022, arXiv 2206.00364, as k-diffusion names it) shares s' = sigma' /
// alpha' of the next level: down to s_down along the flow, then up with fresh noise, s_down^2 + s_up^2 =
// s'^2.
//   s_up = s' sqrt(1 - (s' / s)^2),  s_down = s'^2 / s
struct AncestralSplit {
  double s_down, s_up;
};

inline AncestralSplit ancestral_split(const Step& step) {
  const double s = ratio_of(step.level), s_next = ratio_of(step.next);
  return {.s_down = s_next * s_next / s, .s_up = s_next * std::sqrt(1 - (s_next / s) * (s_next / s))};
}

}  // namespace tstitch
