#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tstitch {

// The announced timesteps of a trajectory, a window of them at a time, so that what depends on the timestep
// alone can be computed for a whole window at once.
class TimestepWindow {
 public:
  // The timesteps to come, in order; forgets the window.
  void announce(std::span<const double> timesteps);

  // Whether a new window of at most `most` steps, at least one, was begun at t because t is not in the old
  // one. Windows of one trajectory have one size, the last one padded, so that each finds the memory of the
  // one before; a timestep that nobody announced is a window of its own.
  bool open(double t, int64_t most);

  const std::vector<double>& timesteps() const { return window_; }
  int64_t index_of(double t) const;  // which must be in the window

 private:
  std::vector<double> ahead_, window_;
};

}  // namespace tstitch
