#pragma once

#include <algorithm>

#include "tstitch/backend/backend.h"
#include "tstitch/backend/cpu/int8.h"
#include "tstitch/backend/cpu/kernels.h"

namespace tstitch::cpu {

inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// b, or zeros when there is none, with zeros up to `size` elements.
inline Tensor padded_bias(const Tensor& b, int64_t size) {
  Tensor bias({size}, DType::f32);
  std::fill_n(bias.data<float>(), size, 0.f);
  if (b) std::copy_n(b.data<float>(), b.elements(), bias.data<float>());
  return bias;
}

// A weight as one of the ways to multiply wants it.
class Linear : public PackedLinear {
 public:
  int64_t inputs() const override { return inputs_; }
  int64_t outputs() const override { return outputs_; }
  Operand operand() const { return operand_; }
  const float* factors() const { return int8_.factors(); }  // of its inputs; null: none

  // The rows of x must be readable, and zero, up to a multiple of this many elements.
  virtual int64_t row_multiple() const = 0;
  // Completes the job with the weight and runs it for `rows` rows of x.
  virtual void run(LinearJob job, int64_t rows, int threads) const = 0;

 protected:
  // w: (M, K) f32, bf16 or the values of `int8`; sums come in panels of `panel_columns`.
  Linear(const Tensor& w, const Tensor& b, const Int8Weight& int8, int64_t panel_columns)
      : inputs_(w.extent(1)),
        outputs_(w.extent(0)),
        operand_(operand_of(w.dtype())),
        bias_(padded_bias(b, padded_outputs(panel_columns))),
        int8_(int8, padded_outputs(panel_columns)) {}

  // What it says of itself.
  void complete(LinearJob& job) const {
    job.operand = operand_;
    job.inputs = inputs_;
    job.outputs = outputs_;
    job.bias = bias_.data<float>();
    int8_.complete(job);
  }
  int64_t bytes_beside_panels() const { return bias_.elements() * 4 + int8_.bytes(); }

  int64_t inputs_, outputs_;

 private:
  int64_t padded_outputs(int64_t panel_columns) const {
    return divide_up(outputs_, panel_columns) * panel_columns;
  }

  Operand operand_;
  Tensor bias_;  // whole panels
  Int8Columns int8_;
};

inline Epilogue epilogue_of(Activation act) {
  switch (act) {
    case Activation::none:
      return Epilogue::none;
    case Activation::gelu_tanh:
      return Epilogue::gelu_tanh;
    case Activation::gelu:
      return Epilogue::gelu;
    case Activation::quick_gelu:
      return Epilogue::quick_gelu;
    case Activation::silu:
      return Epilogue::silu;
    case Activation::relu:
      return Epilogue::relu;
  }
  return Epilogue::none;
}

// How many rows one item of work takes: as many as stay in the L2 cache while panels of weights pass by,
// fewer when there are not enough panels for all threads. A multiple of `block`.
inline int64_t rows_per_item(int64_t rows, int64_t row_bytes, int64_t panels, int64_t block, int threads) {
  constexpr int64_t kCacheBytes = 512 << 10;
  const int64_t wanted = std::max(divide_up(rows * row_bytes, kCacheBytes), divide_up(4 * threads, panels));
  return divide_up(divide_up(rows, wanted), block) * block;
}

}  // namespace tstitch::cpu
