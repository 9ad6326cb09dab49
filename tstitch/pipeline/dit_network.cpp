#include "tstitch/pipeline/dit_network.h"

#include <algorithm>
#include <utility>

namespace tstitch {

DiTNetwork::DiTNetwork(const DiT& dit, std::vector<int64_t> classes, int64_t height, int64_t width)
    : dit_(&dit), positions_(dit.positions(height, width)), unique_classes_(classes), rows_(classes.size()) {
  std::ranges::sort(unique_classes_);
  unique_classes_.erase(std::unique(unique_classes_.begin(), unique_classes_.end()), unique_classes_.end());
  for (const int64_t c : classes)
    class_of_image_.push_back(std::ranges::lower_bound(unique_classes_, c) - unique_classes_.begin());
}

void DiTNetwork::prepare(std::span<const double> timesteps) {
  ahead_.assign(timesteps.begin(), timesteps.end());
  window_.clear();
}

Tensor DiTNetwork::operator()(const Tensor& x, double t) const {
  auto step = std::ranges::find(window_, t);
  if (step == window_.end()) {
    open_window(t);
    step = window_.begin();
  }
  const int64_t first_row = (step - window_.begin()) * static_cast<int64_t>(unique_classes_.size());
  std::ranges::transform(class_of_image_, rows_.begin(), [&](int64_t u) { return first_row + u; });
  return (*dit_)(x, positions_, table_, rows_);
}

void DiTNetwork::open_window(double t) const {
  const auto U = static_cast<int64_t>(unique_classes_.size());
  const int64_t most_steps = std::max<int64_t>(1, kWindowBytes / (U * dit_->conditioning_bytes_per_row()));
  const auto begin = std::ranges::find(ahead_, t);
  window_.clear();
  if (begin == ahead_.end()) {
    window_.push_back(t);  // nobody announced it
  } else {
    // Windows of one size, the last one padded, so that each finds the memory of the one before it.
    const auto size = std::min<int64_t>(most_steps, static_cast<int64_t>(ahead_.size()));
    window_.assign(begin, begin + std::min<int64_t>(size, ahead_.end() - begin));
    window_.resize(static_cast<size_t>(size), window_.back());
  }

  std::vector<double> row_timesteps;
  std::vector<int64_t> row_classes;
  for (const double step : window_)
    for (const int64_t c : unique_classes_) {
      row_timesteps.push_back(step);
      row_classes.push_back(c);
    }
  table_ = {};  // its memory serves the new one
  table_ = dit_->condition(row_timesteps, row_classes);
}

}  // namespace tstitch
