#include "tstitch/backend/cpu/panel_linear.h"

#include "tstitch/backend/cpu/parallel.h"

namespace tstitch::cpu {

PanelLinear::PanelLinear(const Kernels& kernels, int threads, const Tensor& w, const Tensor& b)
    : Linear(w), kernels_(kernels) {
  const bool bf16 = w.dtype() == DType::bf16;
  const int64_t width = kernels.panel_columns, panels = divide_up(outputs_, width);
  const int64_t per_unit = bf16 ? 2 : 1, units = divide_up(inputs_, per_unit);
  panels_ = Tensor({panels, units, width * per_unit}, w.dtype());
  bias_ = padded_bias(b, panels * width);

  const int64_t row_bytes = w.row_stride() * size_of(w.dtype());
  parallel_for(threads, panels, [&](int64_t panel, int) {
    const int64_t row = panel * width;
    kernels.pack_panel(bf16, w.bytes() + row * row_bytes, w.row_stride(), std::min(width, outputs_ - row),
                       inputs_, panels_.bytes() + panel * units * width * 4);
  });
}

void PanelLinear::run(LinearJob job, int64_t rows, int threads) const {
  job.inputs = inputs_;
  job.outputs = outputs_;
  job.panels = panels_.bytes();
  job.bias = bias_.data<float>();

  const int64_t panels = panels_.extent(0);
  const int64_t chunk =
      rows_per_item(rows, inputs_ * size_of(panels_.dtype()), panels, kernels_.block_rows(job.bf16), threads);
  parallel_for(threads, divide_up(rows, chunk) * panels, [&](int64_t item, int) {
    const int64_t begin = item / panels * chunk;
    kernels_.linear(job, item % panels, begin, std::min(rows, begin + chunk));
  });
}

}  // namespace tstitch::cpu
