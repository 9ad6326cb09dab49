#include "tstitch/tune/watch.h"

#include "tstitch/base/error.h"

namespace tstitch {

void check_compared(std::span<const Model> models) {
  check_internal(models.size() >= 2, "a comparison of ", models.size(), " models");
  for (const Model& model : models)
    check_internal(model.network != nullptr, model.info.name, " is not loaded");
}

bool watch(Backend& backend, Evaluator& evaluator, std::span<const Model> models, const RunSpec& spec,
           RunObserver& observer, const EncodedInputs& inputs) {
  struct Nowhere final : BatchSink {
    void take(IndexRange, const Tensor&) override {}
  } nowhere;
  const IndexRange all = {0, spec.images()};
  return !run(backend, evaluator, models, spec, {&all, 1}, observer, nowhere, inputs).cancelled;
}

bool watch(Backend& backend, std::span<const Model> models, const RunSpec& spec, RunObserver& observer,
           const EncodedInputs& inputs) {
  DirectEvaluator evaluator;
  return watch(backend, evaluator, models, spec, observer, inputs);
}

std::unique_ptr<StageDenoiser> StageAsker::stage(size_t model, IndexRange images,
                                                 std::span<const NoiseLevel> levels) {
  const int stage = static_cast<int>(model);
  const StageRows rows = bind_rows(binder_, models_[model], spec_, cfg_scale_of(spec_, stage),
                                   *inputs_.conditions[model], images);
  auto asked = std::make_unique<StageDenoiser>(backend_, evaluator_, models_[model], spec_, stage, rows);
  asked->prepare(levels);
  return asked;
}

}  // namespace tstitch
