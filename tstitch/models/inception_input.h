// Pictures as InceptionV3 for the Fréchet Inception Distance reads them: 299 x 299 pixels in [-1, 1].
#pragma once

#include <cstdint>

#include "tstitch/tensor/tensor.h"

namespace tstitch {

// Both interpolate between the nearest pixels on each side, without low-pass filter, and differ in where a
// pixel lies; scores of the two differ too (Parmar et al. 2022, arXiv 2104.11222).
enum class InceptionResize : uint8_t {
  // Pixel i of n is read at i H / n, and 128 means 0: the graph of Heusel et al. 2017 (arXiv 1706.08500) and
  // of ADM's evaluator, by which published scores are measured.
  tf1,
  // Pixel i of n is read at (i + 1/2) H / n - 1/2, and 127.5 means 0: pytorch-fid.
  pytorch_fid,
};

inline constexpr int64_t kInceptionSide = 299;

// pictures: (N, H, W, 3) u8 on the host. Returns (N, 299, 299, 3) f32 on the host.
Tensor inception_input(const Tensor& pictures, InceptionResize resize);

}  // namespace tstitch
