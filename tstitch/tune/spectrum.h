// How much of each spatial frequency is in the latents along a trajectory: low ones come first, high ones
// last (Pan et al. 2024, arXiv 2402.14167, section 3).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/engine/run.h"
#include "tstitch/engine/run_spec.h"
#include "tstitch/zoo/model.h"

namespace tstitch {

// The mean over images and channels of log(|F| + 1e-6), F the discrete Fourier transform over height and
// width as numpy.fft.fft2 gives it: no factor in front, so white noise of variance 1 has |F| about sqrt(H W).
class LogAmplitude {
 public:
  LogAmplitude(int64_t height, int64_t width);

  void add(const Tensor& x);  // (N, C, H, W) f32 on the host, contiguous

  // Frequencies are shares of pi per latent pixel, the highest that its shorter side can hold: 2 k / min(H,
  // W) for k = 0 ... min(H, W) / 2.
  static std::vector<double> frequencies(int64_t height, int64_t width);
  // One value for each of them: the mean over the ring of frequencies, whatever their direction, that are
  // nearest to it. What lies beyond, in the corners, is left out.
  std::vector<double> radial() const;
  // Of square latents the frequencies (k, k), 0 <= k < H / 2, along the diagonal, as the reference draws
  // them; of others nothing.
  std::vector<double> diagonal() const;

 private:
  double at(int64_t row, int64_t column) const { return sum_[static_cast<size_t>(row * width_ + column)]; }

  int64_t height_, width_, planes_ = 0;
  std::vector<double> sum_;  // (H, W), of the planes added so far
};

struct StepSpectrum {
  int step;          // steps taken so far, 0 ... N
  NoiseLevel level;  // of x there
  std::vector<double> radial, diagonal;
};

// Of the latents that a run of the spec comes by, N + 1 for N steps; nothing when the observer cancelled.
std::vector<StepSpectrum> latent_spectrum(Backend& backend, std::span<const Model> models,
                                          const RunSpec& spec, RunObserver& observer,
                                          const EncodedInputs& inputs);

}  // namespace tstitch
