// Which part of an initial picture is painted: a mask, (H, W) f32 on the host, the share of each pixel that
// is, 0 ... 1; the rest is known.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tstitch/io/png.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch {

inline constexpr double kMostMaskBlur = 64;  // pixels

// The mask that is drawn in the file `path`, white where to paint, cut and scaled as `picture`, whose size it
// has, became init_image, (C, H, W). Throws Error{usage} for another size.
Tensor make_mask(const Image& drawn, const std::string& path, const Image& picture, const Tensor& init_image);

// Under a Gaussian of that deviation in pixels, cut off at 2.5 of them, the mask mirrored at its borders:
// what the web UIs call a blur of so many pixels. 0: the mask as it is.
Tensor blurred(const Tensor& mask, double deviation);

// Of latents of which each place is `pixels` pixels wide: what the mask says of the first of them, as
// PyTorch's nearest interpolation. Returns (H / pixels, W / pixels).
Tensor latent_mask(const Tensor& mask, int64_t pixels);

// For networks that were trained to repaint, the mask cut at 1/2 as in their training: init_image, (C, H, W),
// with zeros, mid-gray, where it is painted; and [m, the latent of that] beside another, (H / f, W / f, 1 +
// C') of a latent (1, C', H / f, W / f) on the host.
Tensor without_hole(const Tensor& init_image, const Tensor& mask);
Tensor beside_latent(const Tensor& latent, const Tensor& mask);

// Puts what is known of init_image, (C, H, W) in [-1, 1], into the images that were made of it: an
// autoencoder changes also what was to stay.
void keep_known(std::vector<Image>& images, const Tensor& init_image, const Tensor& mask);

}  // namespace tstitch
