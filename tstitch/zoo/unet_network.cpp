#include "tstitch/zoo/unet_network.h"

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

Tensor UNetNetwork::operator()(const Tensor& x, double t) const {
  const int64_t bytes_per_step = rows_per_step_ * unet_->time_columns() * size_of(DType::f32);
  if (window_.open(t, kWindowBytes / bytes_per_step)) make_table();
  const int64_t first_row = window_.index_of(t) * rows_per_step_;
  for (size_t n = 0; n < rows_.size(); ++n)
    rows_[n] = first_row + (rows_per_step_ > 1 ? static_cast<int64_t>(n) : 0);
  return (*unet_)(x, gather(backend_, table_, rows_), context_);
}

void UNetNetwork::make_table() const {
  std::vector<double> row_timesteps;
  for (const double step : window_.timesteps())
    row_timesteps.insert(row_timesteps.end(), static_cast<size_t>(rows_per_step_), step);
  table_ = {};  // its memory serves the new one
  const auto steps = static_cast<int64_t>(window_.timesteps().size());
  table_ = unet_->time_table(row_timesteps, added_ ? repeat(backend_, added_, steps) : Tensor());
}

}  // namespace tstitch
