// What turns latents into pictures and back, whatever its architecture.
//
// N batch, C latent channels, f factor, h x w latent pixels. Tensors are f32, channels-last, in the backend's
// memory; pictures are RGB in [-1, 1], what a decoder overshoots included.
#pragma once

#include <cstdint>

#include "tstitch/tensor/tensor.h"

namespace tstitch {

// The normal distribution of the latents of a picture.
struct LatentDistribution {
  Tensor mean;          // (N, h, w, C)
  Tensor log_variance;  // the same, in [-30, 20]; none when the encoder gives one latent only
};

class Autoencoder {
 public:
  virtual ~Autoencoder() = default;

  // z: (N, h, w, C), as the decoder was trained: see `scaling_factor`. Returns (N, f h, f w, 3).
  virtual Tensor decode(const Tensor& z) const = 0;
  // pictures: (N, H, W, 3). Throws Error{usage} unless f divides H and W.
  virtual LatentDistribution encode(const Tensor& pictures) const = 0;

  virtual int64_t factor() const = 0;           // f
  virtual int64_t latent_channels() const = 0;  // C

  // What diffusion models see is (z - shift_factor) scaling_factor; the caller converts.
  virtual double scaling_factor() const = 0;
  virtual double shift_factor() const = 0;

  virtual bool can_encode() const = 0;
  virtual bool can_decode() const = 0;
};

}  // namespace tstitch
