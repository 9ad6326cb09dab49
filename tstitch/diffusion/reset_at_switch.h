#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "tstitch/diffusion/solver.h"

namespace tstitch {

// A solver that forgets its earlier steps whenever another denoiser takes over, so that no step mixes what
// two networks answered.
class ResetAtSwitch final : public Solver {
 public:
  explicit ResetAtSwitch(std::unique_ptr<Solver> base) : base_(std::move(base)) {}

  Tensor step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) override {
    if (denoiser_ != step.denoiser) base_->reset();
    denoiser_ = step.denoiser;
    return base_->step(denoise, x, step, noise);
  }
  std::vector<NoiseLevel> evaluation_levels(const Step& step) const override {
    return base_->evaluation_levels(step);
  }
  void reset() override {
    base_->reset();
    denoiser_.reset();
  }

 private:
  std::unique_ptr<Solver> base_;
  std::optional<int> denoiser_;  // who served the step before
};

}  // namespace tstitch
