// What a user says of a ControlNet: --control-net PATH,image=PNG[,strength=S][,interval=LO:HI][,canny=LO:HI].
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tstitch/condition/canny.h"

namespace tstitch {

// Step i of N of the whole trajectory, from 0, is steered if low <= i / N and (i + 1) / N <= high, as
// diffusers' control_guidance_start and control_guidance_end have it.
struct ControlInterval {
  double low = 0, high = 1;

  bool holds(int step, int steps) const {
    return static_cast<double>(step) / steps >= low && static_cast<double>(step + 1) / steps <= high;
  }
  bool operator==(const ControlInterval&) const = default;
};

struct ControlOption {
  std::string path;     // of the ControlNet
  std::string image;    // the picture it follows
  double strength = 1;  // what it adds is multiplied by, more than 0 ... kMostControlStrength
  ControlInterval interval = {};
  std::optional<CannyThresholds> canny = {};  // the image is a photograph, and its edges are followed

  bool operator==(const ControlOption&) const = default;
};

inline constexpr double kMostControlStrength = 100;
inline constexpr size_t kMostControls = 16;  // of a run

// Throws Error{usage} naming `option`.
ControlOption parse_control(const std::string& option, const std::string& text);
// The inverse.
std::string to_string(const ControlOption& control);

}  // namespace tstitch
