// Analyses watch a run, and ask models beside it what the one that serves was asked.
#pragma once

#include <memory>
#include <span>

#include "tstitch/diffusion/network.h"
#include "tstitch/engine/run.h"
#include "tstitch/engine/stage_denoiser.h"

namespace tstitch {

// That there are two models or more to compare, with their networks.
void check_compared(std::span<const Model> models);

// Runs the spec for all images and keeps nothing. False when the observer cancelled.
bool watch(Backend& backend, Evaluator& evaluator, std::span<const Model> models, const RunSpec& spec,
           RunObserver& observer, const EncodedInputs& inputs);
bool watch(Backend& backend, std::span<const Model> models, const RunSpec& spec, RunObserver& observer,
           const EncodedInputs& inputs);

// Makes stages that answer beside a run, guided as they would be in their place. What it is made of must
// outlive it and them.
class StageAsker {
 public:
  StageAsker(Backend& backend, std::span<const Model> models, const RunSpec& spec,
             const EncodedInputs& inputs)
      : backend_(backend), models_(models), spec_(spec), inputs_(inputs), binder_(spec.height, spec.width) {}

  // For a batch of images; levels: at which it will be asked.
  std::unique_ptr<StageDenoiser> stage(size_t model, IndexRange images, std::span<const NoiseLevel> levels);
  void end_batch() { binder_.end_batch(); }  // once all of its stages are made

 private:
  Backend& backend_;
  std::span<const Model> models_;
  const RunSpec& spec_;
  const EncodedInputs& inputs_;
  DirectEvaluator evaluator_;
  ConditionBinder binder_;
};

}  // namespace tstitch
