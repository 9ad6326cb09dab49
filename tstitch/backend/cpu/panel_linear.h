#pragma once

#include "tstitch/backend/cpu/linear.h"

namespace tstitch::cpu {

// A weight in panels (kernels.h), multiplied by the vector kernels.
class PanelLinear final : public Linear {
 public:
  // w: (M, K) f32, bf16 or the values of `int8`; b: (M) or empty.
  PanelLinear(const Kernels& kernels, int threads, const Tensor& w, const Tensor& b,
              const Int8Weight& int8 = {});

  int64_t bytes() const override {
    return panels_.elements() * size_of(panels_.dtype()) + bytes_beside_panels();
  }
  int64_t row_multiple() const override { return 4 / kernels_.operand_bytes(operand()); }
  void run(LinearJob job, int64_t rows, int threads) const override;

 private:
  const Kernels& kernels_;
  Tensor panels_;  // (panels, units of K, panel columns) of 32-bit units
};

}  // namespace tstitch::cpu
