#include "tstitch/zoo/timestep_window.h"

#include <algorithm>

namespace tstitch {

void TimestepWindow::announce(std::span<const double> timesteps) {
  ahead_.assign(timesteps.begin(), timesteps.end());
  window_.clear();
}

bool TimestepWindow::open(double t, int64_t most) {
  if (std::ranges::find(window_, t) != window_.end()) return false;
  const auto begin = std::ranges::find(ahead_, t);
  if (begin == ahead_.end()) {
    window_.assign(1, t);
    return true;
  }
  const int64_t size = std::clamp<int64_t>(most, 1, std::ssize(ahead_));
  window_.assign(begin, begin + std::min<int64_t>(size, ahead_.end() - begin));
  window_.resize(static_cast<size_t>(size), window_.back());
  return true;
}

int64_t TimestepWindow::index_of(double t) const { return std::ranges::find(window_, t) - window_.begin(); }

}  // namespace tstitch
