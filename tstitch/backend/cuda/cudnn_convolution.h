// Convolutions for cuDNN.
#pragma once

#include <compare>
#include <string>

#include "tstitch/backend/cuda/cudnn_graph.h"

namespace tstitch::cuda {

// A Convolution but for its addresses and the number of images.
struct ConvolutionShape {
  explicit ConvolutionShape(const Convolution& c);

  bool f32() const { return x_type == DType::f32; }
  Descriptor graph(const PlanTarget& target, int64_t N) const;
  std::string describe() const;

  DType x_type, y_type;
  int64_t H, W, C, M, kh, kw, height, width, x_image, stride, top, left, bottom, right;
  bool bias, bias_per_image;
  int64_t x_alignment, w_alignment, y_alignment, bias_alignment;  // bytes

  auto operator<=>(const ConvolutionShape&) const = default;
};

// Queues the images from `first` on, as many as the plan takes.
void execute(const PlanTarget& target, const Plan& plan, const Convolution& c, int64_t first,
             void* workspace);

}  // namespace tstitch::cuda
