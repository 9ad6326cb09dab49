// Where the noise of a run comes from. Randomness is explicit and every number has an address, so that an
// image depends on its seed and not on its company.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/base/torch_random.h"
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

// Noise from seeds. Every image has its own seed, and of that a stream of draws: draw 0 is x_T, draw 1 +
// index what step `index` adds, each a whole latent in (C, H, W) order. So neither the batch, nor the number
// of threads, nor the layout in memory has a say.
class SeededNoise : public NoiseSource {
 public:
  // seeds: of every image, N of them. chw: the latent's shape, (C, H, W).
  SeededNoise(Backend& backend, std::vector<uint64_t> seeds, const Shape& chw);

  Tensor initial() final { return draw(0); }
  Tensor step(int index) final { return draw(1 + static_cast<uint32_t>(index)); }

 protected:
  const std::vector<uint64_t> seeds_;

 private:
  Tensor draw(uint32_t number);
  // Fills `out`, (C, H, W), with a draw of seeds_[row].
  virtual void fill(size_t row, uint32_t draw, std::span<float> out) = 0;

  Backend& backend_;
  Shape chw_;
};

// Philox (tstitch/base/philox.h) keyed by the image's seed. Element e of draw k is the normal number e mod 4
// of the block at {e / 4, k, 0, 0}.
class PhiloxNoise final : public SeededNoise {
 public:
  using SeededNoise::SeededNoise;

 private:
  void fill(size_t row, uint32_t draw, std::span<float> out) override;
};

// PyTorch's CPU generator (tstitch/base/torch_random.h): an image has torch.Generator().manual_seed(its
// seed), and draw k is call number k of torch.randn(C, H, W) on it, whether or not the calls before were
// asked for. That is what programs do that seed every image by itself (A1111's web UI; diffusers with a list
// of generators) with samplers that draw at every step but the last, or at none. A program that draws all
// images in one call has at most image 0's x_T in common: take its noise from files (GivenNoise).
class TorchNoise final : public SeededNoise {
 public:
  TorchNoise(Backend& backend, std::vector<uint64_t> seeds, const Shape& chw);

 private:
  // A generator runs one way: what lies ahead is drawn on the way, what lies behind from the start again.
  struct Stream {
    TorchCpuGenerator generator;
    uint32_t next = 0;  // the draw that the generator gives next
  };

  Stream start(size_t row) const { return {TorchCpuGenerator(seeds_[row])}; }
  void fill(size_t row, uint32_t draw, std::span<float> out) override;

  std::vector<Stream> streams_;  // one per image
};

// The same with PyTorch's CUDA generator: torch.randn(C, H, W, device="cuda") after manual_seed(its seed).
class TorchCudaNoise final : public SeededNoise {
 public:
  using SeededNoise::SeededNoise;

 private:
  void fill(size_t row, uint32_t draw, std::span<float> out) override;
};

std::string noise_names();  // "philox, torch, torch-cuda"
bool is_noise(std::string_view name);

// Throws Error{usage} for an unknown name, naming the known ones. The rest as SeededNoise takes it.
std::unique_ptr<NoiseSource> make_noise(Backend& backend, std::string_view name, std::vector<uint64_t> seeds,
                                        const Shape& chw);

// The seed of image i of a run whose seed is S: S itself for the first, then with philox 53 bits (what JSON
// keeps) drawn from S and i, so that runs of neighbouring seeds share no image; with torch and torch-cuda
// S + i, as programs do that seed every image by itself.
uint64_t seed_of(std::string_view noise, uint64_t seed, int64_t image);

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
