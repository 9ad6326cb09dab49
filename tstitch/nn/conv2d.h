#pragma once

#include <memory>

#include "tstitch/nn/group_norm.h"
#include "tstitch/nn/weights.h"
#include "tstitch/ops/ops.h"

namespace tstitch {

// Paths that keep the size of a picture (zeros around for kernels of 3), of x or of silu(x norm + norm).
inline Conv2dPath same() { return {.pad_before = 1, .pad_after = 1}; }
inline Conv2dPath same_of_silu(const Tensor& norm) {
  return {.pad_before = 1, .pad_after = 1, .norm = &norm, .act = Activation::silu};
}

// A convolution with "weight" (M, C, k, k) and, with `bias`, "bias" (M), packed for the backend at
// construction.
class Conv2d {
 public:
  Conv2d(const Weights& weights, int64_t inputs, int64_t outputs, int64_t kernel, bool bias = true);
  // The same behind act of a norm, which says how large its inputs become.
  Conv2d(const Weights& weights, int64_t inputs, int64_t outputs, int64_t kernel, const GroupNorm& norm,
         Activation act);
  // From tensors already at hand: w (M, C, k, k), b (M) f32 or empty.
  Conv2d(Backend& backend, const Tensor& w, const Tensor& b);
  Conv2d(Backend& backend, const Int8Weight& w, const Tensor& b);

  // x: (N, H, W, C). Returns (N, rows wanted, W', M) of the compute type, or of `out`.
  Tensor operator()(const Tensor& x, const Conv2dPath& path, Activation act = Activation::none) const;
  Tensor operator()(const Tensor& x, const Conv2dPath& path, Activation act, DType out) const;
  // The same into `out`; and act(sum + the same) into `sum`.
  void into(Tensor& out, const Tensor& x, const Conv2dPath& path, Activation act = Activation::none) const;
  void add_to(Tensor& sum, const Tensor& x, const Conv2dPath& path, Activation act = Activation::none) const;

  int64_t outputs() const { return packed_->outputs(); }

 private:
  Backend* backend_;
  std::unique_ptr<PackedConv2d> packed_;
};

}  // namespace tstitch
