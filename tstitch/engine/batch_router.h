#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "tstitch/diffusion/adaptive_switch.h"
#include "tstitch/diffusion/sample.h"
#include "tstitch/engine/run.h"
#include "tstitch/engine/stage_denoiser.h"

namespace tstitch {

// Answers the solver of a batch: every image by the stage that serves it, be it the trajectory that says
// which, or what became of the image so far (spec.switch_threshold).
class BatchRouter final : public Router {
 public:
  // times: of each model, to which calls and their seconds are added. Everything must outlive this.
  BatchRouter(Backend& backend, Evaluator& evaluator, std::span<const Model> models, const RunSpec& spec,
              const Solver& solver, IndexRange images, const EncodedInputs& inputs, ConditionBinder& binder,
              std::span<ModelTime> times, RunObserver& observer);

  // Throws Error{input} when images switch one by one between a model that predicts a variance and one that
  // does not.
  Prediction predict(const Step& step, const Tensor& x, const NoiseLevel& level) override;

  // The model that serves the most images in a step that comes next.
  int serving(const Step& step) const;
  // Of every image, where they switch one by one: after how many steps it went over.
  std::span<const int> small_steps() const;

 private:
  // The images that a stage serves, in this order.
  struct Group {
    int stage;
    std::vector<int64_t> images;
    StageDenoiser denoiser;
  };

  void enter(const Step& step);
  void regroup();
  Prediction ask(Group& group, const Tensor& x, const NoiseLevel& level);

  Backend& backend_;
  Evaluator& evaluator_;
  std::span<const Model> models_;
  const RunSpec& spec_;
  IndexRange images_;
  std::span<ModelTime> times_;
  RunObserver& observer_;
  std::vector<StageRows> rows_;                  // of every stage
  std::vector<std::vector<NoiseLevel>> levels_;  // that every stage may be asked about
  std::optional<AdaptiveSwitch> rule_;
  int step_ = -1;              // that is being answered
  std::vector<int> stage_of_;  // every image in it
  std::vector<Group> groups_;
};

}  // namespace tstitch
