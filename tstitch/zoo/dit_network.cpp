#include "tstitch/zoo/dit_network.h"

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

Tensor DiTNetwork::operator()(const Tensor& x, double t) const {
  const auto U = static_cast<int64_t>(unique_classes_.size());
  if (window_.open(t, kWindowBytes / (U * dit_->conditioning_bytes_per_row()))) make_table();
  const int64_t first_row = window_.index_of(t) * U;
  std::ranges::transform(class_of_image_, rows_.begin(), [&](int64_t u) { return first_row + u; });
  return (*dit_)(x, positions_, table_, rows_);
}

void DiTNetwork::make_table() const {
  std::vector<double> row_timesteps;
  std::vector<int64_t> row_classes;
  for (const double step : window_.timesteps())
    for (const int64_t c : unique_classes_) {
      row_timesteps.push_back(step);
      row_classes.push_back(c);
    }
  table_ = {};  // its memory serves the new one
  table_ = dit_->condition(row_timesteps, row_classes);
}

}  // namespace tstitch
