// What stands around a convolution: its input made ready, its output put where it is wanted; and pools.
#pragma once

#include "tstitch/backend/cuda/kernels/activation.h"
#include "tstitch/backend/cuda/kernels/rows.h"

namespace tstitch::cuda {

// Rows `first` to `first + height` of every image as the convolution reads them: act(x scale + shift), each
// pixel once or as 2 x 2. x: (N, H, W, C); out: (N, height, width, C), of
// width W, or 2 W of which the last column may be cut.
struct ConvolutionInput {
  Rows x, norm, out;  // norm: row 2 n scale, row 2 n + 1 shift; none where at is null
  int64_t H, W, C, first, height, width, repeats;  // repeats: 1 or 2
  Activation act;

  TSTITCH_DEVICE void operator()(int64_t i) const {
    const auto [row, c] = split(i, C);
    const auto [line, column] = split(row, width);
    const auto [n, strip_row] = split(line, height);
    const int64_t y = first + strip_row;
    float value = x((n * H + y / repeats) * W + column / repeats, c);
    if (norm.at) value = value * norm(2 * n, c) + norm(2 * n + 1, c);
    out.set(row, c, activate(act, value));
  }
};

// out = act(y), or act(out + y).
struct ConvolutionOutput {
  Rows y, out;
  int64_t columns;
  bool accumulate;
  Activation act;

  TSTITCH_DEVICE void operator()(int64_t i) const {
    const auto [row, m] = split(i, columns);
    out.set(row, m, activate(act, accumulate ? out(row, m) + y(row, m) : y(row, m)));
  }
};

// bias + image_bias[n]: what is added to the pixels of image n.
struct ImageBias {
  const float* bias;  // null: none
  Rows image_bias, out;
  int64_t columns;

  TSTITCH_DEVICE void operator()(int64_t i) const {
    const auto [n, m] = split(i, columns);
    out.set(n, m, (bias ? bias[m] : 0) + image_bias(n, m));
  }
};

struct Pool {
  Rows x, out;
  int64_t H, W, C, H_out, W_out, window, stride, pad;
  bool mean;

  TSTITCH_DEVICE void operator()(int64_t i) const {
    const auto [row, c] = split(i, C);
    const auto [line, out_column] = split(row, W_out);
    const auto [n, out_row] = split(line, H_out);
    const int64_t top = out_row * stride - pad, left = out_column * stride - pad;
    float largest = -INFINITY, sum = 0;
    int64_t count = 0;
    for (int64_t y = top < 0 ? 0 : top; y < top + window && y < H; ++y)
      for (int64_t column = left < 0 ? 0 : left; column < left + window && column < W; ++column, ++count) {
        const float value = x((n * H + y) * W + column, c);
        largest = value > largest ? value : largest;
        sum += value;
      }
    out.set(row, c, mean ? sum / static_cast<float>(count) : largest);
  }
};

}  // namespace tstitch::cuda
