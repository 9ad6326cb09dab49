// Kernels that move elements: pictures to patches and back, channels last and first.
#pragma once

#include "tstitch/backend/cuda/kernels/rows.h"

namespace tstitch::cuda {

// (N, H, W, C) to (N, H/p W/p, p p C).
struct Patchify {
  Rows x, out;
  int64_t H, W, C, p;

  TSTITCH_DEVICE void operator()(int64_t i) const {
    const int64_t columns = p * p * C, row = i / columns, j = i % columns;
    const int64_t h = H / p, w = W / p, n = row / (h * w), patch = row % (h * w);
    const int64_t y = patch / w * p + j / (p * C), column = patch % w * p + j / C % p;
    out.set(row, j, x((n * H + y) * W + column, j % C));
  }
};

// And back, to (N, H, W, C).
struct Unpatchify {
  Rows tokens, out;
  int64_t H, W, C, p;

  TSTITCH_DEVICE void operator()(int64_t i) const {
    const int64_t row = i / C, c = i % C, n = row / (H * W), y = row / W % H, x = row % W;
    const int64_t token = (n * (H / p) + y / p) * (W / p) + x / p;
    out.set(row, c, tokens(token, (y % p * p + x % p) * C + c));
  }
};

// (N, C, H, W) to (N, H, W, C).
struct ToChannelsLast {
  Rows x, out;
  int64_t H, W, C;

  TSTITCH_DEVICE void operator()(int64_t i) const {
    const int64_t row = i / C, c = i % C, n = row / (H * W), y = row / W % H;
    out.set(row, c, x((n * C + c) * H + y, row % W));
  }
};

struct ToChannelsFirst {
  Rows x, out;
  int64_t H, W, C;

  TSTITCH_DEVICE void operator()(int64_t i) const {
    const int64_t row = i / W, column = i % W, n = row / (C * H), c = row / H % C, y = row % H;
    out.set(row, column, x((n * H + y) * W + column, c));
  }
};

}  // namespace tstitch::cuda
