// Linear maps by oneDNN: its matrix product for blocks of a fixed number of rows, so that a row's arithmetic
// does not depend on how many there are, and our epilogues. For processors whose matrix units our own kernels
// cannot use, and to race against.
#pragma once

#include <dnnl.hpp>
#include <vector>

#include "tstitch/backend/cpu/linear.h"

namespace tstitch::cpu {

class OnednnLinear final : public Linear {
 public:
  // w: (M, K) f32 or bf16, b: (M) or empty.
  OnednnLinear(const Kernels& kernels, const Tensor& w, const Tensor& b);

  int64_t bytes() const override;
  int64_t row_multiple() const override { return 1; }
  void run(LinearJob job, int64_t rows, int threads) const override;

 private:
  // Outputs column ... column + columns.
  struct Part {
    int64_t column, columns;
    dnnl::memory::desc sums, scratch;  // sums: (kRows, columns) f32
    dnnl::matmul product;
    dnnl::memory weights;
  };

  const Kernels& kernels_;
  DType dtype_;
  dnnl::memory::desc x_;  // (kRows, K)
  std::vector<Part> parts_;
  int64_t scratch_bytes_ = 0;  // what the products need, of each thread
  Tensor bias_;
};

}  // namespace tstitch::cpu
