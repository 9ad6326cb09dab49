#pragma once

#include <initializer_list>
#include <memory>

#include "tstitch/nn/weights.h"
#include "tstitch/ops/ops.h"

namespace tstitch {

// act(x W^T + b) with W: "weight" (M, K) and b: "bias" (M), packed for the backend at construction.
class Linear {
 public:
  Linear(const Weights& weights, int64_t inputs, int64_t outputs);
  // From tensors already at hand: w (M, K), b (M) f32 or empty.
  Linear(Backend& backend, const Tensor& w, const Tensor& b);
  Linear(Backend& backend, const Int8Weight& w, const Tensor& b);
  // One product of the maps under the names, each (M, K) without bias: their outputs stand side by side.
  Linear(const Weights& weights, std::initializer_list<const char*> names, int64_t inputs, int64_t outputs);

  // x: (..., K). Returns (..., M) of the compute type, or of `out`.
  Tensor operator()(const Tensor& x, Activation act = Activation::none) const;
  Tensor operator()(const Tensor& x, Activation act, DType out) const;

  // residual += gate * (x W^T + b). residual: (N, T, M), gate: (N, M), x: (N, T, K).
  void add_gated_to(Tensor& residual, const Tensor& gate, const Tensor& x) const;

  // sum += x W^T + b. sum: (..., M) f32 or bf16, x: (..., K).
  void add_to(Tensor& sum, const Tensor& x) const;

  int64_t bytes() const { return packed_->bytes(); }

 private:
  Backend* backend_;
  std::unique_ptr<PackedLinear> packed_;
};

}  // namespace tstitch
