// The vector kernels of the cpu backend: one source (kernels_impl.h), compiled once per instruction set and chosen at
// run time. This header and that source include no standard header with code in it: an inline function compiled for
// AVX-512 must never be the copy the linker keeps for everyone.
#pragma once

#include <stdint.h>

namespace tstitch::cpu {

// What becomes of the columns of a product before they are stored.
struct Epilogue {
  enum class Kind : uint8_t { plain, gelu_tanh, silu, add_gated };
  Kind kind = Kind::plain;
  bool store_bf16 = false;      // else f32; add_gated is always f32
  const float* bias = nullptr;  // per column of the panel, or null
  const float* gate = nullptr;  // add_gated: out += gate * (a W^T + bias)
};

struct Kernels {
  const char* name;
  int64_t panel;      // columns of a weight panel
  int64_t most_rows;  // rows of one product block

  // out (rows, columns) = epilogue(a (rows, K) times a panel), rows <= most_rows, columns <= panel. The whole of K is
  // summed in registers in one order, so that a row's result does not depend on the rows beside it.
  // f32 panel: [K][panel]. bf16 panel: pairs, [K / 2][panel][2], K even.
  void (*product_f32)(int64_t rows, int64_t columns, int64_t K, const float* a, int64_t a_stride, const float* panel,
                      const Epilogue& epilogue, void* out, int64_t out_stride);
  void (*product_bf16)(int64_t rows, int64_t columns, int64_t K, const uint16_t* a, int64_t a_stride,
                       const uint16_t* panel, const Epilogue& epilogue, void* out, int64_t out_stride);

  // out = layer_norm(x) (1 + scale) + shift for one row of D.
  void (*modulated_norm)(int64_t D, const float* x, const float* shift, const float* scale, double eps, void* out,
                         bool store_bf16);

  // One row of a softmax over blocks of keys. scores: (count), overwritten with nothing; p gets exp(scale (score -
  // largest)) as the compute type, zeros up to `padded`. largest and sum are the running values of the row; returns
  // what earlier sums must be multiplied with.
  float (*softmax_block)(int64_t count, int64_t padded, const float* scores, float scale, float* largest, float* sum,
                         void* p, bool store_bf16);

  // y = factor y + x, and y *= factor, for n floats.
  void (*scale_add)(int64_t n, float factor, float* y, const float* x);
  void (*scale_store)(int64_t n, float factor, const float* x, void* out, bool store_bf16);

  void (*silu)(int64_t n, const float* x, float* out);
  void (*exp_half)(int64_t n, const float* x, float* out);  // exp(x / 2)
  void (*to_bf16)(int64_t n, const float* x, uint16_t* out);
  void (*to_f32)(int64_t n, const uint16_t* x, float* out);
};

// To be called only on machines that have the instructions.
const Kernels& avx512_bf16_kernels();
const Kernels& avx512_kernels();
const Kernels& avx2_kernels();
const Kernels& baseline_kernels();

}  // namespace tstitch::cpu
