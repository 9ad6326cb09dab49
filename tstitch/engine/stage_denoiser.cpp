#include "tstitch/engine/stage_denoiser.h"

#include <algorithm>
#include <utility>

#include "tstitch/diffusion/guidance.h"
#include "tstitch/engine/evaluation_counts.h"

namespace tstitch {
namespace {

double cfg_scale_at(const RunSpec& spec, int stage, const Step& step) {
  Step own = step;
  own.denoiser = stage;
  return spec.cfg_scale_at(own);
}

}  // namespace

StageRows StageRows::of(std::span<const int64_t> images) const {
  StageRows some;
  for (const int64_t image : images) {
    const auto n = static_cast<size_t>(image);
    some.conditions.push_back(conditions[n]);
    if (!nulls.empty()) some.nulls.push_back(nulls[n]);
  }
  return some;
}

void StageRows::steer(uint64_t controls) const {
  for (const BoundRows* rows : {&conditions, &nulls})
    for (const auto& row : *rows) row->controls = controls;
}

void StageRows::begin() const {
  for (const BoundRows* rows : {&conditions, &nulls})
    for (const auto& row : *rows) row->evaluations = 0, row->kept = {};
}

void StageRows::count() const {
  for (const BoundRows* rows : {&conditions, &nulls})
    for (const auto& row : *rows) ++row->evaluations;
}

void StageRows::set_whole(FunctionRef<bool(int64_t)> whole) const {
  for (const BoundRows* rows : {&conditions, &nulls})
    for (const auto& row : *rows) row->whole = whole(row->evaluations);
}

double cfg_scale_of(const RunSpec& spec, int stage) {
  const bool guides = std::ranges::any_of(
      spec.trajectory, [&](const Step& step) { return cfg_scale_at(spec, stage, step) != 1; });
  return guides ? spec.stages[static_cast<size_t>(stage)].cfg_scale : 1;
}

StageRows bind_rows(ConditionBinder& binder, const Model& model, const RunSpec& spec, double cfg_scale,
                    const ConditionMaker& conditions, IndexRange images) {
  const bool nulls = model.info.condition.needs_null(cfg_scale);
  StageRows rows;
  for (int64_t image = images.first; image < images.end(); ++image) {
    const uint64_t seed = spec.seed_of(image);
    const auto row_of = [&](const Condition& condition) {
      return std::make_shared<BoundRow>(
          BoundRow{.condition = binder.bind(*model.network, condition), .seed = seed, .image = image});
    };
    rows.conditions.push_back(row_of(conditions.condition(spec.subjects[static_cast<size_t>(image)])));
    if (nulls) rows.nulls.push_back(row_of(conditions.null(seed)));
  }
  return rows;
}

std::unique_ptr<Denoiser> make_denoiser(Backend& backend, Evaluator& evaluator, const Model& model,
                                        const RunSpec& spec, double cfg_scale, const StageRows& rows) {
  const bool nulls = model.info.condition.needs_null(cfg_scale);
  BoundRows all = rows.conditions;
  if (nulls) all.insert(all.end(), rows.nulls.begin(), rows.nulls.end());
  auto denoiser =
      std::make_unique<NetworkDenoiser>(backend, evaluator, *model.network, std::move(all),
                                        model.info.prediction, nulls ? 1 : cfg_scale, model.info.form);
  if (!nulls) return denoiser;
  return std::make_unique<GuidedDenoiser>(backend, std::move(denoiser), cfg_scale, spec.cfg_channels);
}

StageDenoiser::StageDenoiser(Backend& backend, Evaluator& evaluator, const Model& model, const RunSpec& spec,
                             int stage, const StageRows& rows)
    : spec_(spec), stage_(stage), rows_(rows), cache_(model.info.form.cache) {
  for (const Step& step : spec.trajectory) {
    const double scale = cfg_scale_at(spec, stage, step);
    auto& bound = scale == 1 ? plain_ : guided_;
    if (!bound) bound = make_denoiser(backend, evaluator, model, spec, scale, rows);
  }
}

void StageDenoiser::enter(const Step& step) {
  serving_ = cfg_scale_at(spec_, stage_, step) == 1 ? plain_.get() : guided_.get();
  rows_.steer(spec_.controls_at(stage_, step.index));
  if (cache_.focus && whole_.empty())
    whole_ = whole_evaluations(cache_, evaluations_around(spec_, stage_, step));
}

Prediction StageDenoiser::predict(const Tensor& x, const NoiseLevel& level) const {
  rows_.set_whole([&](int64_t evaluation) {
    return cache_.focus ? std::ranges::binary_search(whole_, evaluation) : evaluation % cache_.every == 0;
  });
  const Prediction prediction = serving_->predict(x, level);
  rows_.count();
  return prediction;
}

void StageDenoiser::prepare(std::span<const NoiseLevel> levels) {
  for (Denoiser* bound : {guided_.get(), plain_.get()})
    if (bound) bound->prepare(levels);
}

}  // namespace tstitch
