#include "tstitch/nn/group_norm.h"

#include <algorithm>
#include <cmath>

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

Tensor GroupNorm::sizes(Activation act) const {
  const Tensor gamma = backend_->download(gamma_), beta = backend_->download(beta_);
  Tensor sizes(gamma.shape(), DType::f32);
  for (int64_t c = 0; c < sizes.elements(); ++c) {
    const float center = beta.data<float>()[c], reach = 3 * std::fabs(gamma.data<float>()[c]);
    const Bounds bounds = activation_bounds(act, {center - reach, center + reach});
    sizes.data<float>()[c] = std::max(std::fabs(bounds.low), std::fabs(bounds.high));
  }
  return sizes;
}

}  // namespace tstitch
