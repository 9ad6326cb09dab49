// Linear maps: products with the panels of a weight, and what happens to the sums before they reach memory.
#pragma once

#include "tstitch/backend/cpu/isa/gemm.inl"

namespace tstitch::cpu::TSTITCH_ISA {

// out = f(sums + bias)
template <class Out, class Function>
inline void finish_rows(const LinearJob& job, const float* sums, int64_t sums_stride, int64_t row,
                        int64_t rows, int64_t column, int64_t columns, const Function& f) {
  const float* bias = job.bias + column;
  for (int64_t r = 0; r < rows; ++r) {
    const float* sum = sums + r * sums_stride;
    Out* out = static_cast<Out*>(job.out) + (row + r) * job.out_stride + column;
    for_row(columns, [&](auto get, auto put) { put(out, f(get(sum) + get(bias))); });
  }
}

// out = f(out + sums + bias)
template <class Out, class Function>
inline void add_rows(const LinearJob& job, const float* sums, int64_t sums_stride, int64_t row, int64_t rows,
                     int64_t column, int64_t columns, const Function& f) {
  const float* bias = job.bias + column;
  for (int64_t r = 0; r < rows; ++r) {
    const float* sum = sums + r * sums_stride;
    Out* out = static_cast<Out*>(job.out) + (row + r) * job.out_stride + column;
    for_row(columns, [&](auto get, auto put) { put(out, f(get(out) + (get(sum) + get(bias)))); });
  }
}

inline void add_gated_rows(const LinearJob& job, const float* sums, int64_t sums_stride, int64_t row,
                           int64_t rows, int64_t column, int64_t columns) {
  const float* bias = job.bias + column;
  for (int64_t r = 0; r < rows; ++r) {
    const float* sum = sums + r * sums_stride;
    const float* gate = job.gate + (row + r) / job.rows_per_gate * job.gate_stride + column;
    float* out = static_cast<float*>(job.out) + (row + r) * job.out_stride + column;
    for_row(columns, [&](auto get, auto put) { put(out, fma(get(gate), get(sum) + get(bias), get(out))); });
  }
}

inline void finish(const LinearJob& job, const float* sums, int64_t sums_stride, int64_t row, int64_t rows,
                   int64_t column, int64_t columns) {
  const auto with = [&](auto f) {
    if (job.out_bf16)
      finish_rows<bf16>(job, sums, sums_stride, row, rows, column, columns, f);
    else
      finish_rows<f32>(job, sums, sums_stride, row, rows, column, columns, f);
  };
  const auto add_with = [&](auto f) {
    if (job.out_bf16)
      add_rows<bf16>(job, sums, sums_stride, row, rows, column, columns, f);
    else
      add_rows<f32>(job, sums, sums_stride, row, rows, column, columns, f);
  };
  switch (job.epilogue) {
    case Epilogue::none:
      return with([](F x) { return x; });
    case Epilogue::gelu_tanh:
      return with([](F x) { return gelu_tanh(x); });
    case Epilogue::gelu:
      return with([](F x) { return gelu_erf(x); });
    case Epilogue::quick_gelu:
      return with([](F x) { return quick_gelu(x); });
    case Epilogue::silu:
      return with([](F x) { return silu(x); });
    case Epilogue::relu:
      return with([](F x) { return relu(x); });
    case Epilogue::add:
      return add_with([](F x) { return x; });
    case Epilogue::add_relu:
      return add_with([](F x) { return relu(x); });
    case Epilogue::add_gated:
      return add_gated_rows(job, sums, sums_stride, row, rows, column, columns);
  }
}

// (Kernels::dequantize)
inline void dequantize(const LinearJob& job, float* sums, int64_t sums_stride, int64_t row, int64_t rows,
                       int64_t column, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t i = (row + r) * job.range_step;
    const int32_t zero = kBesideZero ? job.zeros[i] : 0;
    const float scale = job.scales[i];
    for (int64_t j = 0; j < columns; j += kLanes) {
      float* p = sums + r * sums_stride + j;
      const I sum = bit_cast<I>(load(p)) - zero * load_raw<I>(job.sums_of_weights + column + j);
      store(p, to_float(sum) * (scale * load(job.weight_scales + column + j)));
    }
  }
}

template <class T>
void linear(const LinearJob& job, int64_t panel, int64_t begin, int64_t end) {
  alignas(64) float sums[kBlockRows<T> * kPanelColumns];
  const int64_t count = units<T>(job.inputs), column = panel * kPanelColumns;
  const auto* b = static_cast<const char*>(job.panels) + panel * count * kPanelVectors * kVectorBytes<T>;
  for_blocks<T>(begin, end, [&](int64_t row, int64_t rows) {
    const T* x = static_cast<const T*>(job.x) + row * job.x_stride;
    multiply_rows<T, kPanelVectors>(rows, x, job.x_stride, b, count, sums, kPanelColumns, false);
    if constexpr (__is_same(T, q8)) dequantize(job, sums, kPanelColumns, row, rows, column, kPanelColumns);
    finish(job, sums, kPanelColumns, row, rows, column, min(kPanelColumns, job.outputs - column));
  });
}

}  // namespace tstitch::cpu::TSTITCH_ISA
