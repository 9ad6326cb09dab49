// Products of 8-bit numbers (tensor/int8.h): what lies beside the panels of their weights, and how x becomes
// them.
#pragma once

#include "tstitch/backend/cpu/kernels.h"
#include "tstitch/tensor/int8.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch::cpu {

inline Operand operand_of(DType dtype) {
  return dtype == DType::bf16 ? Operand::bf16 : dtype == DType::i8 ? Operand::int8 : Operand::f32;
}

// Of each output its scale and the sum of its weights, with zeros up to whole panels, and the factors of the
// inputs; nothing of a weight that is none of 8 bits.
class Int8Columns {
 public:
  Int8Columns() = default;
  // Throws Error{input} for more inputs than sums of 32 bits allow.
  Int8Columns(const Int8Weight& w, int64_t padded_outputs);

  void complete(LinearJob& job) const;
  const float* factors() const { return factors_ ? factors_.data<float>() : nullptr; }
  int64_t bytes() const;

 private:
  Tensor scales_, sums_, factors_;
};

// x as the numbers that are multiplied: each row with a range of its own.
struct QuantizedRows {
  Tensor values;  // (rows, bytes from row to row) u8
  Tensor scales;  // (rows) f32
  Tensor zeros;   // (rows) i32

  // What a product of them says of x.
  void complete(LinearJob& job, int64_t element_bytes) const;
};

// One row of `columns` f32 or bf16 at x, to `padded` elements: zeros follow.
void quantize_row(const Kernels& kernels, bool bf16, const std::byte* x, int64_t columns, int64_t padded,
                  const float* factors, void* to, float& scale, int32_t& zero);

// All rows of x, (..., K) f32 or bf16, filled up to a multiple of `row_multiple` elements.
QuantizedRows quantize_rows(const Kernels& kernels, int threads, const Tensor& x, const float* factors,
                            int64_t row_multiple);

}  // namespace tstitch::cpu
