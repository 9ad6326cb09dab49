#include "tstitch/backend/cpu/int8.h"

#include <algorithm>

#include "tstitch/backend/cpu/linear.h"
#include "tstitch/backend/cpu/parallel.h"
#include "tstitch/base/error.h"

namespace tstitch::cpu {

Int8Columns::Int8Columns(const Int8Weight& w, int64_t padded_outputs) : factors_(w.factors) {
  if (!w.values) return;
  const int64_t M = w.values.extent(0), K = w.values.elements() / M;
  check(K <= kMostInt8Inputs, ErrorKind::input, "an 8-bit weight ", w.values.shape(), " sums ", K,
        " products, expected at most ", kMostInt8Inputs);
  scales_ = padded_bias(w.scales, padded_outputs);
  sums_ = Tensor({padded_outputs}, DType::i32);
  std::fill_n(sums_.data<int32_t>(), padded_outputs, 0);
  for (int64_t m = 0; m < M; ++m)
    for (int64_t k = 0; k < K; ++k) sums_.data<int32_t>()[m] += w.values.data<int8_t>()[m * K + k];
}

void Int8Columns::complete(LinearJob& job) const {
  if (!scales_) return;
  job.weight_scales = scales_.data<float>();
  job.sums_of_weights = sums_.data<int32_t>();
}

int64_t Int8Columns::bytes() const {
  return scales_ ? 8 * scales_.elements() + (factors_ ? 4 * factors_.elements() : 0) : 0;
}

void QuantizedRows::complete(LinearJob& job, int64_t element_bytes) const {
  job.x = values.bytes();
  job.x_stride = values.row_stride() / element_bytes;
  job.scales = scales.data<float>();
  job.zeros = zeros.data<int32_t>();
}

void quantize_row(const Kernels& kernels, bool bf16, const std::byte* x, int64_t columns, int64_t padded,
                  const float* factors, void* to, float& scale, int32_t& zero) {
  const RowBounds bounds = kernels.row_bounds(bf16, x, factors, columns);
  const Uint8Range range = range_of(bounds.low, bounds.high);
  kernels.pixels({.x = x,
                  .x_bf16 = bf16,
                  .channels = columns,
                  .padded = padded,
                  .to = to,
                  .to_type = Operand::int8,
                  .factors = factors,
                  .inverse = range.inverse,
                  .zero = range.zero},
                 1);
  scale = range.scale;
  zero = range.zero;
}

QuantizedRows quantize_rows(const Kernels& kernels, int threads, const Tensor& x, const float* factors,
                            int64_t row_multiple) {
  const int64_t K = x.columns(), size = kernels.operand_bytes(Operand::int8), rows = x.rows(),
                padded = divide_up(K, row_multiple) * row_multiple;
  // Rows whole pages apart collide in the L1 cache (CpuBackend::operand).
  const int64_t row_bytes = divide_up(padded * size, 64) * 64, apart = row_bytes % 4096 == 0 ? 64 : 0;
  QuantizedRows q = {.values = Tensor({rows, row_bytes + apart}, DType::u8),
                     .scales = Tensor({rows}, DType::f32),
                     .zeros = Tensor({rows}, DType::i32)};
  constexpr int64_t kGrain = 16384;
  parallel_ranges(threads, rows, divide_up(kGrain, K), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      quantize_row(kernels, x.dtype() == DType::bf16, x.bytes() + row * x.row_stride() * size_of(x.dtype()),
                   K, padded, factors, q.values.bytes() + row * q.values.row_stride(),
                   q.scales.data<float>()[row], q.zeros.data<int32_t>()[row]);
  });
  return q;
}

}  // namespace tstitch::cpu
