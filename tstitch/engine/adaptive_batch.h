#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tstitch/diffusion/adaptive_switch.h"
#include "tstitch/diffusion/routed_denoiser.h"
#include "tstitch/engine/run.h"

namespace tstitch {

// A batch of a spec with a switch threshold: the rule that looks at its images, and the one denoiser that
// asks for each of them the model that the rule says.
class AdaptiveBatch {
 public:
  // times: of each model, to which calls and their seconds are added. Everything must outlive this.
  AdaptiveBatch(Backend& backend, std::span<const Model> models, const RunSpec& spec, IndexRange images,
                const EncodedInputs& inputs, std::span<ModelTime> times);

  Denoiser& denoiser() { return denoiser_; }
  // Before every step: images that have moved far enough change over.
  void begin_step() { denoiser_.route(rule_.serving()); }
  // The first prediction in every step.
  void observe(const Step& step, const Prediction& prediction);

  int serving() const;  // the model of most images
  std::span<const int> small_steps() const { return rule_.small_steps(); }

 private:
  Backend& backend_;
  AdaptiveSwitch rule_;
  RoutedDenoiser denoiser_;
};

}  // namespace tstitch
