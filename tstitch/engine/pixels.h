// Between tensors and 8-bit pictures.
#pragma once

#include <vector>

#include "tstitch/io/png.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch {

// Latents that are images in [-1, 1], (N, C, H, W) f32 with C = 1 or 3, as 8-bit pictures: 127.5 x + 128,
// clamped to 0 ... 255 and truncated, the reference's mapping.
std::vector<Image> decode_pixels(const Tensor& latents);

// The images as one tensor, (N, H, W, C) u8. All of one size, at least one.
Tensor to_tensor(const std::vector<Image>& images);

}  // namespace tstitch
