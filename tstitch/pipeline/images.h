// From latents to pictures.
#pragma once

#include <cstdint>
#include <vector>

#include "tstitch/io/png.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch {

// Latents that are images in [-1, 1], (N, C, H, W) f32 with C = 1 or 3, as 8-bit pictures: 127.5 x + 128,
// clamped to 0 ... 255 and truncated, the reference's mapping.
std::vector<Image> decode_pixels(const Tensor& latents);

// The images as one tensor, (N, H, W, C) u8. All of one size, at least one.
Tensor to_tensor(const std::vector<Image>& images);

// The images in rows of `columns`, with two black pixels around each as in torchvision's make_grid. All of
// one size.
Image make_grid(const std::vector<Image>& images, int columns);

// How many columns the grid of a run has: the images of a class side by side when there are several, else the
// reference's rows of four up to eight images, a square above.
int grid_columns(int64_t images, int64_t images_per_class);

// Every pixel repeated `factor` times in both directions.
Image enlarge(const Image& image, int factor);

// Copies `image` into `target` with its upper left corner at (x, y); it must fit. A gray image fills all the
// channels.
void paste(Image& target, const Image& image, int x, int y);

}  // namespace tstitch
