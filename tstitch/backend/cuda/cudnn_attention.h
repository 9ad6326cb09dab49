// Attention for cuDNN.
#pragma once

#include <compare>

#include "tstitch/backend/cuda/cudnn_graph.h"

namespace tstitch::cuda {

// Whether strides and addresses are multiples of 16 bytes, as the library needs them and does not check, and
// d of 8 numbers.
bool is_aligned(const Attention& a);

// An Attention but for its addresses and the number of images.
struct AttentionShape {
  explicit AttentionShape(const Attention& a);

  bool f32() const { return false; }
  Descriptor graph(const PlanTarget& target, int64_t N) const;
  std::string describe() const;

  int64_t T, S, heads, d, q_stride, k_stride, v_stride;
  bool kv_shared;

  auto operator<=>(const AttentionShape&) const = default;
};

// Queues the images from `first` on, as many as the plan takes.
void execute(const PlanTarget& target, const Plan& plan, const Attention& a, int64_t first, void* workspace);

}  // namespace tstitch::cuda
