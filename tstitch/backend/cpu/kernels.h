// The table of vector kernels. isa/ is one source, compiled once per kind of processor; each copy fills one
// table.
//
// A weight matrix or a block of keys is packed into panels of `panel_columns` outputs: [panel][unit][column]
// with units of 32 bits along the summed dimension (one f32, two bf16 or four numbers of 8 bits), padded with
// zeros. The whole sum of an output is accumulated in one register in the order of the units, whatever rows
// are computed beside it: that is what makes results independent of batch and threads.
//
// Of 8-bit numbers (tensor/int8.h) the x of a product are bytes beside their zero, or, where there is no
// instruction that multiplies bytes exactly, 16 bits less their zero: then two are a unit, and the panel has
// half a unit's bytes for them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tstitch::cpu {

enum class Operand : uint8_t { f32, bf16, int8 };  // what is multiplied

enum class Epilogue : uint8_t { none, gelu_tanh, gelu, quick_gelu, silu, relu, add, add_relu, add_gated };

// out = act(x W^T + b); with add and add_relu, out = act(out + x W^T + b);
// with add_gated, out += gate * (x W^T + b).
struct LinearJob {
  Operand operand = Operand::f32;  // x and the panels
  const void* x = nullptr;         // (rows, inputs), zero up to the end of the last unit
  int64_t x_stride = 0;            // in elements, as all strides
  int64_t inputs = 0, outputs = 0;
  const void* panels = nullptr;
  const float* bias = nullptr;  // padded to whole panels

  // Of int8: for row r the sums of integers become (sum - zeros[i] sums_of_weights) scales[i] weight_scales,
  // i = r range_step; where x is less its zero there is none to take away.
  const float* scales = nullptr;
  const int32_t* zeros = nullptr;
  int64_t range_step = 1;
  const float* weight_scales = nullptr;      // padded to whole panels, as
  const int32_t* sums_of_weights = nullptr;  // of each output

  Epilogue epilogue = Epilogue::none;
  void* out = nullptr;  // (rows, outputs)
  int64_t out_stride = 0;
  bool out_bf16 = false;
  const float* gate = nullptr;  // (rows / rows_per_gate, outputs)
  int64_t gate_stride = 0;
  int64_t rows_per_gate = 1;
};

// softmax(q k^T / sqrt(d)) v of one image: q and out (T, heads d), k and v (S, heads d).
struct AttentionJob {
  bool bf16 = false;  // all four
  const void *q = nullptr, *k = nullptr, *v = nullptr;
  int64_t q_stride = 0, k_stride = 0, v_stride = 0;
  void* out = nullptr;
  int64_t out_stride = 0;
  int64_t S = 0, d = 0;
};

// One block of keys of an online softmax: p = 2^(factor (score - largest)) with the largest score so far.
// `largest`, `sum` (of all p) and `out`, what was summed of the values so far, are brought up to date; where
// largest is -infinity nothing was, and out is not read. Scores are read, and p written, up to a multiple of
// 32 keys.
struct SoftmaxBlock {
  float* scores = nullptr;  // (rows, keys)
  int64_t scores_stride = 0, rows = 0, keys = 0;
  float factor = 0;
  void* p = nullptr;  // (rows, keys)
  int64_t p_stride = 0;
  float *largest = nullptr, *sum = nullptr;  // (rows)
  float* out = nullptr;                      // (rows, out_columns)
  int64_t out_stride = 0, out_columns = 0;
};

// (rows, columns): layer_norm(x) (scale_offset + scale) + shift for rows of one image.
struct NormJob {
  const float* x = nullptr;
  int64_t x_stride = 0;
  int64_t columns = 0;
  const float *shift = nullptr, *scale = nullptr;
  float scale_offset = 1;
  float eps = 0;
  void* out = nullptr;
  int64_t out_stride = 0;
  bool out_bf16 = false;
};

// The least and the largest number of a row, or of each channel; NaN where one is not finite.
struct RowBounds {
  float low, high;
};

// Pixels of channels: to = act(x scale + shift), then zeros up to `padded` channels. Rows are pixels, too.
struct PixelJob {
  const void* x = nullptr;
  bool x_bf16 = false;
  int64_t x_stride = 0;
  int64_t repeats = 1;  // how often each pixel of x is written
  int64_t channels = 0, padded = 0;
  const float *scale = nullptr, *shift = nullptr;  // none: x itself
  Epilogue act = Epilogue::none;
  void* to = nullptr;
  Operand to_type = Operand::f32;
  int64_t to_stride = 0;
  // Of int8: to = round(act(...) factors inverse) + zero, 0 ... 255.
  const float* factors = nullptr;  // none: ones
  float inverse = 0;
  int32_t zero = 0;
};

// A convolution over strips of rows of pixels that hold the zeros around them too, one of each image. Output
// pixel p is pixel p % image_pixels of image p / image_pixels, there in row / width, column % width. Panels
// of `linear` are summed over [kernel row][kernel column][linear.inputs].
struct ConvJob {
  LinearJob linear;  // x: the first strip, x_stride: from pixel to pixel; out: of pixel 0; bias: of image 0
  int64_t kernel_height = 0, kernel_width = 0, stride = 0;
  int64_t row_stride = 0, image_stride = 0;  // of a strip, from strip to strip
  int64_t width = 0, image_pixels = 0;       // of the output
  int64_t bias_stride = 0;                   // from image to image
};

// to = the largest or the mean of the channels of `rows` times `columns` pixels.
struct PoolJob {
  bool bf16 = false;  // x and to
  bool mean = false;
  const void* x = nullptr;
  int64_t row_stride = 0, pixel_stride = 0;
  int64_t rows = 0, columns = 0, channels = 0;
  void* to = nullptr;
};

struct Kernels {
  const char* name;
  int64_t panel_columns;

  // Bytes of an element of x.
  int64_t (*operand_bytes)(Operand);
  // Rows multiplied at once; work is best split at multiples of it.
  int64_t (*block_rows)(Operand);
  // Rows of w (rows <= panel_columns, columns) as one panel.
  void (*pack_panel)(Operand, const void* w, int64_t w_stride, int64_t rows, int64_t columns, void* panel);
  // Rows begin..end of the outputs of one panel.
  void (*linear)(const LinearJob&, int64_t panel, int64_t begin, int64_t end);
  // Of int8: the sums (rows, sums_stride), 32-bit integers, become in place what they stand for. Columns up
  // to a whole vector are overwritten.
  void (*dequantize)(const LinearJob&, float* sums, int64_t sums_stride, int64_t row, int64_t rows,
                     int64_t column, int64_t columns);
  // The epilogue of job.out[row .. row + rows, column .. column + columns] for sums (rows, sums_stride)
  // without bias.
  void (*finish)(const LinearJob&, const float* sums, int64_t sums_stride, int64_t row, int64_t rows,
                 int64_t column, int64_t columns);

  // Keys and values of a head are packed into panels in blocks of attention_keys keys, each by a call with
  // its first key, s0; panels are those of the head.
  int64_t attention_keys;
  int64_t (*attention_panel_bytes)(bool bf16, int64_t d, int64_t S);
  void (*pack_keys)(const AttentionJob&, int64_t head, int64_t s0, void* panels);
  // At most attention_rows queries at once; panels and scratch are aligned to 64 bytes.
  int64_t (*attention_rows)(bool bf16);
  int64_t (*attention_scratch_bytes)(bool bf16, int64_t d);
  void (*attention)(const AttentionJob&, int64_t head, int64_t begin, int64_t end, const void* panels,
                    void* scratch);
  // Its parts without the products, in bf16. normalize: to (rows, d) = out / sum.
  void (*softmax_block)(const SoftmaxBlock&);
  void (*normalize)(const float* out, int64_t out_stride, const float* sum, int64_t rows, int64_t d, void* to,
                    int64_t to_stride);

  void (*pool)(const PoolJob&);
  // `count` pixels of x.
  void (*pixels)(const PixelJob&, int64_t count);
  // Of x factors (none: ones); and of each channel over `count` pixels, low and high (channels).
  RowBounds (*row_bounds)(bool bf16, const void* x, const float* factors, int64_t count);
  void (*channel_bounds)(bool bf16, const void* x, int64_t x_stride, int64_t count, int64_t channels,
                         float* low, float* high);
  // Output pixels begin..end of one panel.
  void (*conv)(const ConvJob&, int64_t panel, int64_t begin, int64_t end);
  // Mean and variance of each group of channels over `count` pixels: (groups, 2).
  void (*group_moments)(bool bf16, const void* x, int64_t x_stride, int64_t count, int64_t channels,
                        int64_t groups, float* moments);

  void (*modulated_norm)(const NormJob&, int64_t rows);
  // out = a gelu(g) of x = [a | g], `count` elements each.
  void (*geglu)(bool bf16, const void* x, bool out_bf16, void* out, int64_t count);
  void (*silu)(const float* x, float* out, int64_t count);
  void (*to_bf16)(const float* x, void* out, int64_t count);
  void (*to_f32)(const void* x, float* out, int64_t count);

  // Multiply-adds in registers, for benchmarks: peak_flops of them per step. out: at least 16 floats.
  int64_t (*peak_flops)(Operand);
  void (*peak)(Operand, int64_t steps, float* out);
};

extern const Kernels kBaselineKernels;    // SSE2: every x86-64
extern const Kernels kAvx2Kernels;        // AVX2 and FMA
extern const Kernels kAvxVnniKernels;     // and the dot product of bytes
extern const Kernels kAvx512Kernels;      // AVX-512 F, BW, DQ, VL
extern const Kernels kAvx512VnniKernels;  // and its dot product of bytes
extern const Kernels kAvx512Bf16Kernels;  // and that of bf16

}  // namespace tstitch::cpu
