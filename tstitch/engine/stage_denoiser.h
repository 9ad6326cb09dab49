#pragma once

#include <memory>

#include "tstitch/engine/run.h"

namespace tstitch {

// A stage's model bound to a batch: guided in some steps and not in others (Stage::cfg_interval).
class StageDenoiser final : public Denoiser {
 public:
  // stage: its number, also the model's. The model must outlive it.
  StageDenoiser(Backend& backend, const Model& model, const RunSpec& spec, int stage, IndexRange images,
                const ConditionMaker& conditions);

  // Before anything is predicted in a step, whoever serves it.
  void enter(const Step& step);
  Prediction predict(const Tensor& x, const NoiseLevel& level) const override {
    return serving_->predict(x, level);
  }
  void prepare(std::span<const NoiseLevel> levels) override;

 private:
  double cfg_scale_at(const Step& step) const;

  const RunSpec& spec_;
  int stage_;
  std::unique_ptr<Denoiser> guided_, plain_;  // those of the two that a step may need
  Denoiser* serving_ = nullptr;
};

}  // namespace tstitch
