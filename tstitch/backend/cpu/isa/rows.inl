// Operations on one row at a time.
#pragma once

#include "tstitch/backend/cpu/isa/vector.inl"
#include "tstitch/backend/cpu/kernels.h"

namespace tstitch::cpu::TSTITCH_ISA {

// Mean, then variance around it: two passes over a row that lies in the L1 cache.
template <class Out>
void modulated_norm(const NormJob& job, int64_t rows) {
  const auto columns = static_cast<float>(job.columns);
  const int64_t whole = job.columns / kLanes * kLanes;
  for (int64_t r = 0; r < rows; ++r) {
    const float* x = job.x + r * job.x_stride;
    Out* out = static_cast<Out*>(job.out) + r * job.out_stride;

    F sum = {};
    for_row(job.columns, [&](auto get, auto) { sum += get(x); });
    const float mean = sum_lanes(sum) / columns;

    F squares = {};
    for (int64_t j = 0; j < whole; j += kLanes) {
      const F y = load(x + j) - mean;
      squares = fma(y, y, squares);
    }
    float variance = sum_lanes(squares);
    for (int64_t j = whole; j < job.columns; ++j) variance += (x[j] - mean) * (x[j] - mean);
    const float scale = 1 / __builtin_sqrtf(variance / columns + job.eps);

    for_row(job.columns, [&](auto get, auto put) {
      put(out, fma((get(x) - mean) * scale, job.scale_offset + get(job.scale), get(job.shift)));
    });
  }
}

template <class From, class To>
void geglu(const From* x, To* out, int64_t count) {
  for_row(count, [&](auto get, auto put) { put(out, get(x) * gelu_erf(get(x + count))); });
}

}  // namespace tstitch::cpu::TSTITCH_ISA
