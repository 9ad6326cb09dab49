// The stitched trajectory (Pan et al. 2024, arXiv 2402.14167): the noise levels a sample passes on its way
// from noise to image, and for every step who denoises. A value: it can be printed, parsed, compared, stored
// and swept.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tstitch/diffusion/noise_schedule.h"

namespace tstitch {

struct Step {
  int index;         // 0 .. N-1
  NoiseLevel level;  // of x before the step
  NoiseLevel next;   // and after it
  int denoiser;      // who serves it: index into the stitched models

  bool operator==(const Step&) const = default;
};

// Consecutive steps of one denoiser.
struct Segment {
  int denoiser;
  int first;  // index of the first step
  int count;

  bool operator==(const Segment&) const = default;
};

class Trajectory {
 public:
  // levels: N + 1, decreasing, the last one is where the trajectory ends; where a level comes twice, the step
  // between the two leads nowhere but is an evaluation (pndm.h). assignment: the denoiser of each of the N
  // steps, >= 0. Throws Error{internal} when the sizes do not fit, Error{usage} for no step at all.
  Trajectory(std::span<const NoiseLevel> levels, std::span<const int> assignment);

  int size() const { return static_cast<int>(steps_.size()); }  // N
  const Step& operator[](int index) const { return steps_[static_cast<size_t>(index)]; }
  auto begin() const { return steps_.begin(); }
  auto end() const { return steps_.end(); }

  std::vector<int> assignment() const;    // the denoiser of every step
  std::vector<Segment> segments() const;  // the steps, grouped in order
  int steps_of(int denoiser) const;       // how many it serves

  // "small: steps 1-40, large: 41-100": every segment in order, steps counted from 1; then the models that
  // serve no step, "large: no step". names: one for each denoiser.
  std::string describe(std::span<const std::string> names) const;

  bool operator==(const Trajectory&) const = default;

 private:
  std::vector<Step> steps_;
};

// An assignment as text, "0*40 1*60": 40 steps of denoiser 0, then 60 of denoiser 1.
std::string format_assignment(std::span<const int> assignment);
// The inverse; "0" is short for "0*1". Throws Error{usage}, also where the counts do not add up to `steps`.
std::vector<int> parse_assignment(std::string_view text);
std::vector<int> parse_assignment(std::string_view text, int steps);

}  // namespace tstitch
