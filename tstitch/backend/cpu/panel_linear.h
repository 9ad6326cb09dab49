#pragma once

#include "tstitch/backend/cpu/linear.h"

namespace tstitch::cpu {

// A weight in panels (kernels.h), multiplied by the vector kernels.
class PanelLinear final : public Linear {
 public:
  // w: (M, K) f32 or bf16, b: (M) or empty.
  PanelLinear(const Kernels& kernels, int threads, const Tensor& w, const Tensor& b);

  int64_t bytes() const override {
    return panels_.elements() * size_of(panels_.dtype()) + bias_.elements() * 4;
  }
  int64_t row_multiple() const override { return panels_.dtype() == DType::bf16 ? 2 : 1; }
  void run(LinearJob job, int64_t rows, int threads) const override;

 private:
  const Kernels& kernels_;
  Tensor panels_;  // (panels, units of K, panel columns) of 32-bit units
  Tensor bias_;    // whole panels
};

}  // namespace tstitch::cpu
