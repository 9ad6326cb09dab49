// Where the noise of a run comes from. Randomness is explicit and every number has an address, so that an
// image depends on its seed and not on its company.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch {

// Standard normal latents for the N images of one batch, (N, H, W, C) f32 on the backend. Asking twice gives
// the same.
class NoiseSource {
 public:
  virtual ~NoiseSource() = default;
  virtual Tensor initial() = 0;        // x_T
  virtual Tensor step(int index) = 0;  // what step `index` of the trajectory adds; index >= 0
};

// Philox (tstitch/base/philox.h) keyed by the seed. Element e, in (C, H, W) order, of image i is the normal
// number e mod 4 of the block at {e / 4, k, low half of i, high half of i}, k = 0 for x_T and 1 + index for a
// step: neither the batch, nor the number of threads, nor the layout in memory has a say.
class PhiloxNoise final : public NoiseSource {
 public:
  // images: the index of every image in the run, N of them. chw: the latent's shape, (C, H, W).
  PhiloxNoise(Backend& backend, uint64_t seed, std::vector<uint64_t> images, const Shape& chw);

  Tensor initial() override;
  Tensor step(int index) override;

 private:
  Tensor draw(uint32_t purpose) const;

  Backend& backend_;
  uint64_t seed_;
  std::vector<uint64_t> images_;
  Shape chw_;
};

// Noise as the user gives it, for parity with other software. Host tensors, f32, the M images of the whole
// run; either may be empty.
struct GivenLatents {
  Tensor initial;  // x_T, (M, C, H, W)
  Tensor steps;    // (S, M, C, H, W), in the order of sampling
};

class GivenNoise final : public NoiseSource {
 public:
  // The batch is images first .. first + N - 1 of the given ones, nchw its shape. What is not given comes
  // from `otherwise`; where that is null too, asking for it is Error{input}. Throws Error{input} when a given
  // tensor has another type or shape, or too few images.
  GivenNoise(Backend& backend, GivenLatents given, int64_t first, const Shape& nchw,
             std::unique_ptr<NoiseSource> otherwise = nullptr);

  Tensor initial() override;
  // Error{input} when there are fewer steps than that.
  Tensor step(int index) override;

 private:
  Backend& backend_;
  GivenLatents given_;
  int64_t first_;
  Shape nchw_;
  std::unique_ptr<NoiseSource> otherwise_;
};

}  // namespace tstitch
