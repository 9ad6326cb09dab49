#pragma once

#include <memory>
#include <utility>

#include "tstitch/diffusion/solver.h"

namespace tstitch {

// Dynamic thresholding (Saharia et al. 2022, arXiv 2205.11487, section 2.3): of each image of x0, (N, H, W,
// C) f32, s is the value that a share `ratio` of its magnitudes does not exceed, at least 1 and at most
// `most`; what is larger is cut to s, and all is divided by s.
Tensor thresholded(Backend& backend, const Tensor& x0, const Thresholding& thresholding);

// A solver whose denoisers' x0 are thresholded. Their eps stays, as in diffusers.
class ThresholdedSolver final : public Solver {
 public:
  ThresholdedSolver(Backend& backend, std::unique_ptr<Solver> base, const Thresholding& thresholding)
      : backend_(backend), base_(std::move(base)), thresholding_(thresholding) {}

  Tensor step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) override {
    return base_->step(
        [&](const Tensor& x_at, const NoiseLevel& level) {
          Prediction at = denoise(x_at, level);
          at.x0 = thresholded(backend_, at.x0, thresholding_);
          return at;
        },
        x, step, noise);
  }
  std::vector<NoiseLevel> evaluation_levels(const Step& step) const override {
    return base_->evaluation_levels(step);
  }
  void reset() override { base_->reset(); }

 private:
  Backend& backend_;
  std::unique_ptr<Solver> base_;
  Thresholding thresholding_;
};

}  // namespace tstitch
