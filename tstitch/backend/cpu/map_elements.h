#pragma once

#include "tstitch/backend/cpu/parallel.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch::cpu {

// The elements of a tensor of f32: (row, j) is data[row * stride + j].
struct Rows {
  explicit Rows(const Tensor& x) : data(x.data<float>()), stride(x.row_stride()) {}

  const float* data;
  int64_t stride;
};

// out = f(inputs...), element by element. All f32 of one shape; out is contiguous and may be an input, the
// rows of the others may be strided: latents of few channels have so short rows that dense tensors are one
// long row.
template <class F, class... Inputs>
void map_elements(int threads, int64_t grain, Tensor& out, const F& f, const Inputs&... inputs) {
  const bool dense = (inputs.is_contiguous() && ...);
  const int64_t columns = out.columns();
  float* const to = out.data<float>();
  const auto over = [&](int64_t begin, int64_t end, const auto... from) {
    if (dense)
      for (int64_t i = begin * columns; i < end * columns; ++i) to[i] = f(from.data[i]...);
    else
      for (int64_t row = begin; row < end; ++row)
        for (int64_t j = 0; j < columns; ++j) to[row * columns + j] = f(from.data[row * from.stride + j]...);
  };
  if (columns == 0) return;
  parallel_ranges(threads, out.rows(), divide_up(grain, columns),
                  [&](int64_t begin, int64_t end) { over(begin, end, Rows(inputs)...); });
}

}  // namespace tstitch::cpu
