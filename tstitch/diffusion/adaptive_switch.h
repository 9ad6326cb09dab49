// Adaptive switching: when the small model is no longer good enough, decided image by image during sampling.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tstitch/diffusion/noise_schedule.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch {

// How far the details of an image have come out of the noise, by the estimate x0 of what it will be:
//   (alpha / sigma) sqrt(mean of (x0[p] - x0[q])^2)  over neighbouring pixels p, q of a row or a column.
// x0: (H, W, C) f32 on the host, contiguous, at least 2 pixels; of each channel the same pairs. painted: (H,
// W) f32 on the host, the share of each pixel that is painted, not 0 everywhere; a pair weighs the mean of
// its two. Empty: all is.
double detail_to_noise(const Tensor& x0, const NoiseLevel& level, const Tensor& painted = {});

// The threshold that gives the small model about 40 % of the steps of the demo family, whatever their number
// and the sampler. Guidance enlarges what the network leaves of the noise in x0, so it grows with that.
double default_switch_threshold(double cfg_scale);

// A rule that costs no evaluation: an image switches to the large model once its details stand out of the
// noise. Models agree about outlines and differ in details, so a smooth image stays longer with the small
// one. docs/adaptive.md compares it with a fixed share and with other rules.
class AdaptiveSwitch {
 public:
  // images: of the batch. threshold: of detail_to_noise, >= 0, which looks at what is painted.
  AdaptiveSwitch(int64_t images, double threshold, Tensor painted = {});

  // x0: (N, H, W, C) f32 on the host, contiguous: what a step's first evaluation gave. Afterwards serving()
  // is about the next step.
  void observe(const Tensor& x0, const NoiseLevel& level);

  // Of every image: 0 while the small model serves it, then 1.
  std::span<const int> serving() const { return serving_; }
  // Of every image: after how many steps it went over, or as many as were seen.
  std::span<const int> small_steps() const { return small_steps_; }

 private:
  double threshold_;
  Tensor painted_;
  std::vector<int> serving_, small_steps_;
};

}  // namespace tstitch
