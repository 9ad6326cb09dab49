#pragma once

#include "tstitch/backend/backend.h"
#include "tstitch/backend/cpu/kernels.h"

namespace tstitch::cpu {

// W (M, K) in panels of `panel` outputs: f32 [M / panel][K][panel], bf16 pairs [M / panel][K / 2][panel][2], both padded
// with zeros; the bias padded likewise.
class PanelLinear final : public PackedLinear {
 public:
  // w: (M, K) of the compute type f32 or bf16; b: (M) f32 or empty.
  PanelLinear(const Kernels& kernels, const Tensor& w, const Tensor& b);

  int64_t inputs() const override { return inputs_; }
  int64_t outputs() const override { return outputs_; }
  int64_t bytes() const override { return panels_.elements() * size_of(panels_.dtype()); }

  DType dtype() const { return panels_.dtype(); }
  int64_t padded_inputs() const { return padded_inputs_; }
  int64_t panel_count() const { return panels_.extent(0); }
  const std::byte* panel(int64_t i) const { return panels_.bytes() + i * panels_.columns() * size_of(panels_.dtype()); }
  const float* bias(int64_t i) const { return bias_ ? bias_.data<float>() + i * panel_width_ : nullptr; }

 private:
  int64_t inputs_, outputs_, padded_inputs_, panel_width_;
  Tensor panels_;  // (panels, padded K x panel)
  Tensor bias_;    // (panels x panel) f32
};

}  // namespace tstitch::cpu
