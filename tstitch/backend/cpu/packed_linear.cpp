#include "tstitch/backend/cpu/packed_linear.h"

#include <algorithm>
#include <cstring>

namespace tstitch::cpu {
namespace {

// `group` consecutive inputs of an output lie together: 2 for bf16, 1 for f32.
template <class T>
void pack(const T* w, int64_t M, int64_t K, int64_t padded_K, int64_t panel, int64_t group, T* out) {
  const int64_t panels = (M + panel - 1) / panel;
#pragma omp parallel for schedule(static)
  for (int64_t p = 0; p < panels; ++p) {
    T* target = out + p * padded_K * panel;
    std::memset(target, 0, static_cast<size_t>(padded_K * panel) * sizeof(T));
    const int64_t columns = std::min(panel, M - p * panel);
    for (int64_t j = 0; j < columns; ++j) {
      const T* row = w + (p * panel + j) * K;
      for (int64_t k = 0; k < K; ++k) target[(k / group * panel + j) * group + k % group] = row[k];
    }
  }
}

}  // namespace

PanelLinear::PanelLinear(const Kernels& kernels, const Tensor& w, const Tensor& b)
    : inputs_(w.extent(1)), outputs_(w.extent(0)), panel_width_(kernels.panel) {
  const int64_t group = w.dtype() == DType::bf16 ? 2 : 1;
  padded_inputs_ = (inputs_ + group - 1) / group * group;
  const int64_t panels = (outputs_ + panel_width_ - 1) / panel_width_;
  panels_ = Tensor({panels, padded_inputs_ * panel_width_}, w.dtype());
  if (w.dtype() == DType::bf16)
    pack(w.data<bfloat16>(), outputs_, inputs_, padded_inputs_, panel_width_, group, panels_.data<bfloat16>());
  else
    pack(w.data<float>(), outputs_, inputs_, padded_inputs_, panel_width_, group, panels_.data<float>());
  if (b) {
    bias_ = Tensor({panels * panel_width_}, DType::f32);
    std::fill_n(bias_.data<float>(), bias_.elements(), 0.0f);
    std::copy_n(b.data<float>(), outputs_, bias_.data<float>());
  }
}

}  // namespace tstitch::cpu
