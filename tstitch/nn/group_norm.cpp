#include "tstitch/nn/group_norm.h"

namespace tstitch {

GroupNorm::GroupNorm(const Weights& weights, int64_t channels, int64_t groups, double eps)
    : backend_(&weights.backend()),
      groups_(groups),
      eps_(eps),
      gamma_(backend_->upload(weights.load("weight", {channels}))),
      beta_(backend_->upload(weights.load("bias", {channels}))) {}

Tensor GroupNorm::operator()(const Tensor& x) const {
  const Tensor all = moments(x);
  return of_moments({&all, 1});
}

Tensor GroupNorm::of_moments(std::span<const Tensor> strips) const {
  return group_norm_scale_shift(*backend_, strips, gamma_, beta_, eps_);
}

}  // namespace tstitch
