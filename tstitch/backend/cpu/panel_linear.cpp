#include "tstitch/backend/cpu/panel_linear.h"

#include "tstitch/backend/cpu/parallel.h"

namespace tstitch::cpu {

PanelLinear::PanelLinear(const Kernels& kernels, int threads, const Tensor& w, const Tensor& b,
                         const Int8Weight& int8)
    : Linear(w, b, int8, kernels.panel_columns), kernels_(kernels) {
  const int64_t width = kernels.panel_columns, panels = divide_up(outputs_, width);
  const int64_t units = divide_up(inputs_, row_multiple());
  panels_ = Tensor({panels, units, width * row_multiple()}, w.dtype());

  const int64_t size = size_of(w.dtype()), row_bytes = w.row_stride() * size;
  parallel_for(threads, panels, [&](int64_t panel, int) {
    const int64_t row = panel * width;
    kernels.pack_panel(operand(), w.bytes() + row * row_bytes, w.row_stride(),
                       std::min(width, outputs_ - row), inputs_,
                       panels_.bytes() + panel * units * panels_.columns() * size);
  });
}

void PanelLinear::run(LinearJob job, int64_t rows, int threads) const {
  complete(job);
  job.panels = panels_.bytes();

  const int64_t panels = panels_.extent(0);
  const int64_t chunk = rows_per_item(rows, inputs_ * kernels_.operand_bytes(operand()), panels,
                                      kernels_.block_rows(operand()), threads);
  parallel_for(threads, divide_up(rows, chunk) * panels, [&](int64_t item, int) {
    const int64_t begin = item / panels * chunk;
    kernels_.linear(job, item % panels, begin, std::min(rows, begin + chunk));
  });
}

}  // namespace tstitch::cpu
