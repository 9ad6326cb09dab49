#include "tstitch/engine/batch_router.h"

#include <algorithm>
#include <utility>

#include "tstitch/base/clock.h"
#include "tstitch/base/error.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

// These images of x, (N, H, W, C).
Tensor pick(Backend& backend, const Tensor& x, std::span<const int64_t> images) {
  std::vector<Tensor> parts;
  for (const int64_t n : images) parts.push_back(x.slice(n, n + 1));
  return stack(backend, parts);
}

}  // namespace

BatchRouter::BatchRouter(Backend& backend, Evaluator& evaluator, std::span<const Model> models,
                         const RunSpec& spec, const Solver& solver, IndexRange images,
                         const EncodedInputs& inputs, ConditionBinder& binder, std::span<ModelTime> times,
                         RunObserver& observer)
    : backend_(backend),
      evaluator_(evaluator),
      models_(models),
      spec_(spec),
      images_(images),
      times_(times),
      observer_(observer),
      rows_(models.size()),
      levels_(models.size()) {
  if (spec.switch_threshold) rule_.emplace(images.count, *spec.switch_threshold, spec.painted_places());
  for (size_t i = 0; i < models.size(); ++i) {
    const int stage = static_cast<int>(i);
    if (!spec.uses(stage)) continue;
    const size_t controls =
        inputs.conditions[i]->condition(spec.subjects[static_cast<size_t>(images.first)]).controls.size();
    check_internal(controls == spec.stages[i].controls.size(), "a stage with ",
                   spec.stages[i].controls.size(), " ControlNets, whose conditions have ", controls);
    rows_[i] = bind_rows(binder, models[i], spec, cfg_scale_of(spec, stage), *inputs.conditions[i], images);
    // Where images switch one by one, the trajectory is the first model's.
    levels_[i] = levels_asked(spec.trajectory, solver, rule_ ? 0 : stage);
  }
}

Prediction BatchRouter::predict(const Step& step, const Tensor& x, const NoiseLevel& level) {
  const bool first = step.index != step_;
  if (first) enter(step);
  Prediction all;
  if (groups_.size() == 1) {
    all = ask(groups_[0], x, level);
  } else {
    // Of every image, in their order.
    std::vector<Tensor> x0(stage_of_.size()), eps(stage_of_.size()), variance(stage_of_.size());
    size_t with_variance = 0;
    for (Group& group : groups_) {
      const Prediction part = ask(group, pick(backend_, x, group.images), level);
      for (int64_t n = 0; n < std::ssize(group.images); ++n) {
        const auto image = static_cast<size_t>(group.images[static_cast<size_t>(n)]);
        x0[image] = part.x0.slice(n, n + 1);
        eps[image] = part.eps.slice(n, n + 1);
        if (part.variance) variance[image] = part.variance.slice(n, n + 1), ++with_variance;
      }
    }
    check(with_variance == 0 || with_variance == variance.size(), ErrorKind::input,
          "one of the models predicts a variance and another does not: images of one batch cannot switch"
          " between them one by one");
    all.x0 = stack(backend_, x0);
    all.eps = stack(backend_, eps);
    if (with_variance > 0) all.variance = stack(backend_, variance);
  }
  if (first) {
    // combine: a prediction's rows may be strided.
    if (rule_) rule_->observe(backend_.download(combine(backend_, {{1, &all.x0}})), step.level);
    observer_.predicted(images_, step, x, all);
  }
  observer_.evaluated(images_, step, level, x, all);
  return all;
}

int BatchRouter::serving(const Step& step) const {
  if (!rule_) return step.denoiser;
  return 2 * std::ranges::count(rule_->serving(), 1) > images_.count ? 1 : 0;
}

std::span<const int> BatchRouter::small_steps() const {
  return rule_ ? rule_->small_steps() : std::span<const int>();
}

void BatchRouter::enter(const Step& step) {
  step_ = step.index;
  std::vector<int> stages(static_cast<size_t>(images_.count), step.denoiser);
  if (rule_) std::ranges::copy(rule_->serving(), stages.begin());
  if (stages != stage_of_) {
    for (int64_t n = 0; n < std::ssize(stage_of_); ++n) {
      const auto image = static_cast<size_t>(n);
      if (stages[image] == stage_of_[image]) continue;
      for (const int stage :
           {stage_of_[image], stages[image]})  // nothing is kept for a stage that comes back
        rows_[static_cast<size_t>(stage)].of({&n, 1}).begin();
    }
    stage_of_ = std::move(stages);
    regroup();
  }
  for (Group& group : groups_) group.denoiser.enter(step);
}

void BatchRouter::regroup() {
  groups_.clear();
  for (int stage = 0; stage < std::ssize(models_); ++stage) {
    std::vector<int64_t> images;
    for (int64_t n = 0; n < images_.count; ++n)
      if (stage_of_[static_cast<size_t>(n)] == stage) images.push_back(n);
    if (images.empty()) continue;
    const auto i = static_cast<size_t>(stage);
    const StageRows rows = rows_[i].of(images);
    groups_.push_back(
        {stage, std::move(images), StageDenoiser(backend_, evaluator_, models_[i], spec_, stage, rows)});
    groups_.back().denoiser.prepare(levels_[i]);
  }
}

Prediction BatchRouter::ask(Group& group, const Tensor& x, const NoiseLevel& level) {
  const Stopwatch stopwatch;
  Prediction prediction = group.denoiser.predict(x, level);
  ModelTime& time = times_[static_cast<size_t>(group.stage)];
  time.seconds += stopwatch.seconds();
  ++time.evaluations;
  return prediction;
}

}  // namespace tstitch
