#pragma once

#include <span>

#include "tstitch/nn/weights.h"
#include "tstitch/ops/ops.h"

namespace tstitch {

// Group normalization (Wu & He 2018, arXiv 1803.08494) with "weight" and "bias" (C). What it gives is not the
// normalised picture but the scale and shift of every channel that make it, (N, 2, C): the convolution that
// follows applies them to what it reads (Conv2dPath::norm).
class GroupNorm {
 public:
  GroupNorm(const Weights& weights, int64_t channels, int64_t groups, double eps);

  Tensor operator()(const Tensor& x) const;  // x: (N, H, W, C)
  // In strips: the moments of each, (N, H', groups, 2), then the norm of the whole.
  Tensor moments(const Tensor& strip) const { return group_moments(*backend_, strip, groups_); }
  Tensor of_moments(std::span<const Tensor> strips) const;

  // About how large act of each channel becomes, (C) f32 on the host: within three deviations, were all of
  // one.
  Tensor sizes(Activation act) const;

 private:
  Backend* backend_;
  int64_t groups_;
  double eps_;
  Tensor gamma_, beta_;
};

}  // namespace tstitch
