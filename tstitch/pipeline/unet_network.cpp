#include "tstitch/pipeline/unet_network.h"

#include <algorithm>

#include "tstitch/ops/ops.h"

namespace tstitch {

Tensor text_time_condition(Backend& backend, const Tensor& pooled, std::span<const double> sizes,
                           int64_t width) {
  const int64_t N = pooled.extent(0);
  const Tensor sinusoids = timestep_embedding(backend, sizes, width);  // (6 N, width)
  return concat_columns(backend, pooled, sinusoids.reshape({N, sinusoids.elements() / N}));
}

UNetNetwork::UNetNetwork(Backend& backend, const UNet& unet, const UNetCondition& condition)
    : backend_(backend),
      unet_(&unet),
      context_(unet.condition(condition.context)),
      added_(condition.added),
      rows_per_step_(added_ ? added_.extent(0) : 1),
      rows_(static_cast<size_t>(condition.context.extent(0))) {}

void UNetNetwork::prepare(std::span<const double> timesteps) {
  ahead_.assign(timesteps.begin(), timesteps.end());
  window_.clear();
}

Tensor UNetNetwork::operator()(const Tensor& x, double t) const {
  auto step = std::ranges::find(window_, t);
  if (step == window_.end()) {
    open_window(t);
    step = window_.begin();
  }
  const int64_t first_row = (step - window_.begin()) * rows_per_step_;
  for (size_t n = 0; n < rows_.size(); ++n)
    rows_[n] = first_row + (rows_per_step_ > 1 ? static_cast<int64_t>(n) : 0);
  return (*unet_)(x, gather(backend_, table_, rows_), context_);
}

void UNetNetwork::open_window(double t) const {
  const int64_t bytes_per_step = rows_per_step_ * unet_->time_columns() * size_of(DType::f32);
  const auto begin = std::ranges::find(ahead_, t);
  window_.clear();
  if (begin == ahead_.end()) {
    window_.push_back(t);  // nobody announced it
  } else {
    // Windows of one size, the last one padded, so that each finds the memory of the one before it.
    const auto size = std::min<int64_t>(std::max<int64_t>(1, kWindowBytes / bytes_per_step),
                                        static_cast<int64_t>(ahead_.size()));
    window_.assign(begin, begin + std::min<int64_t>(size, ahead_.end() - begin));
    window_.resize(static_cast<size_t>(size), window_.back());
  }

  std::vector<double> row_timesteps;
  for (const double step : window_)
    row_timesteps.insert(row_timesteps.end(), static_cast<size_t>(rows_per_step_), step);
  table_ = {};  // its memory serves the new one
  const auto steps = static_cast<int64_t>(window_.size());
  table_ = unet_->time_table(row_timesteps, added_ ? repeat(backend_, added_, steps) : Tensor());
}

}  // namespace tstitch
