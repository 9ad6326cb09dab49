#include "tstitch/engine/run.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <optional>

#include "tstitch/base/clock.h"
#include "tstitch/base/error.h"
#include "tstitch/diffusion/guidance.h"
#include "tstitch/diffusion/sample.h"
#include "tstitch/engine/adaptive_batch.h"
#include "tstitch/engine/stage_denoiser.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

std::vector<int64_t> indices_of(IndexRange images) {
  std::vector<int64_t> indices(static_cast<size_t>(images.count));
  std::iota(indices.begin(), indices.end(), images.first);
  return indices;
}

std::vector<uint64_t> seeds_of(const RunSpec& spec, std::span<const int64_t> images) {
  std::vector<uint64_t> seeds;
  for (const int64_t image : images) seeds.push_back(spec.seed_of(image));
  return seeds;
}

// What these images of the run show; guidance doubles the batch, [conditions; null].
std::vector<Condition> rows_of(const RunSpec& spec, std::span<const int64_t> images, bool guided,
                               const ConditionMaker& conditions) {
  std::vector<Condition> rows;
  for (const int64_t image : images)
    rows.push_back(conditions.condition(spec.subjects[static_cast<size_t>(image)]));
  if (guided)
    for (const int64_t image : images) rows.push_back(conditions.null(spec.seed_of(image)));
  return rows;
}

std::unique_ptr<NoiseSource> noise_of(Backend& backend, const RunSpec& spec, IndexRange images) {
  const Shape chw = {spec.channels, spec.height, spec.width};
  auto drawn = make_noise(backend, spec.options.rng, seeds_of(spec, indices_of(images)), chw);
  if (!spec.options.given.initial && !spec.options.given.steps) return drawn;
  const Shape nchw = {images.count, spec.channels, spec.height, spec.width};
  return std::make_unique<GivenNoise>(backend, spec.options.given, images.first, nchw, std::move(drawn));
}

// x at the trajectory's first level: noise, or the initial picture under noise (q(x_t | x_0)).
Tensor start_of(Backend& backend, const RunSpec& spec, const EncodedInputs& inputs, NoiseSource& noise) {
  Tensor x = noise.initial();
  if (!inputs.init_latent) return spec.initial_scale == 1 ? x : combine(backend, {{spec.initial_scale, &x}});
  const Tensor clean =
      repeat(backend, to_channels_last(backend, backend.upload(inputs.init_latent)), x.extent(0));
  const NoiseLevel& level = spec.trajectory[0].level;
  return combine(backend, {{level.alpha, &clean}, {level.sigma, &x}});
}

// Times the steps and passes them on, and what is predicted in them.
class BatchObserver final : public Observer {
 public:
  // stages: by model, null for one without steps. adaptive: null where the trajectory says who serves a step.
  BatchObserver(RunObserver& outer, RunResult& result, const Solver& solver, const RunSpec& spec,
                std::span<const std::unique_ptr<StageDenoiser>> stages, AdaptiveBatch* adaptive,
                Progress progress)
      : outer_(outer),
        result_(result),
        solver_(solver),
        spec_(spec),
        stages_(stages),
        adaptive_(adaptive),
        progress_(progress) {}

  void before(const Step& step) override {
    if (!adaptive_) stages_[static_cast<size_t>(step.denoiser)]->enter(step);
    if (adaptive_) adaptive_->begin_step();
    progress_.step = step.index;
    progress_.model = adaptive_ ? adaptive_->serving() : step.denoiser;
    outer_.progress(progress_);
    step_ = &step;
    stopwatch_ = {};
  }

  void predicted(const Tensor& x, const Prediction& prediction) {
    if (!step_) return;
    if (adaptive_) adaptive_->observe(*step_, prediction);
    outer_.predicted(progress_.images, *step_, x, prediction);
    step_ = nullptr;
  }

  bool after(const Step& step, const Tensor&) override {
    if (!adaptive_) {
      ModelTime& time = result_.models[static_cast<size_t>(step.denoiser)];
      time.seconds += stopwatch_.seconds();
      time.evaluations += std::ssize(solver_.evaluation_levels(step));
    }
    return !outer_.cancelled();
  }

 private:
  RunObserver& outer_;
  RunResult& result_;
  const Solver& solver_;
  const RunSpec& spec_;
  std::span<const std::unique_ptr<StageDenoiser>> stages_;
  AdaptiveBatch* adaptive_;
  Progress progress_;
  const Step* step_ = nullptr;  // until something is predicted in it
  Stopwatch stopwatch_;
};

// Tells the observer what a denoiser predicts.
class ObservedDenoiser final : public Denoiser {
 public:
  ObservedDenoiser(Denoiser& inner, BatchObserver& observer) : inner_(inner), observer_(observer) {}

  Prediction predict(const Tensor& x, const NoiseLevel& level) const override {
    Prediction prediction = inner_.predict(x, level);
    observer_.predicted(x, prediction);
    return prediction;
  }
  void prepare(std::span<const NoiseLevel> levels) override { inner_.prepare(levels); }

 private:
  Denoiser& inner_;
  BatchObserver& observer_;
};

void check_finite(const Tensor& latents, int64_t first) {
  const int64_t size = latents.elements() / latents.extent(0);
  for (int64_t i = 0; i < latents.elements(); ++i)
    check(std::isfinite(latents.data<float>()[i]), ErrorKind::input, "image ", first + i / size,
          " holds numbers that are not finite: the models or the guidance scale do not suit this trajectory");
}

std::vector<IndexRange> batches_of(std::span<const IndexRange> images, int64_t batch_size) {
  std::vector<IndexRange> batches;
  for (const IndexRange& range : images)
    for (int64_t first = range.first; first < range.end(); first += batch_size)
      batches.push_back({first, std::min(batch_size, range.end() - first)});
  return batches;
}

}  // namespace

std::vector<std::shared_ptr<const ConditionMaker>> make_condition_makers(Backend& backend,
                                                                         const std::vector<ModelInfo>& models,
                                                                         const RunSpec& spec) {
  std::vector<std::string> negatives;
  for (const Stage& stage : spec.stages) negatives.push_back(stage.negative_prompt);
  return make_condition_makers(backend, models,
                               {.prompts = spec.options.prompts,
                                .negative_prompts = negatives,
                                .clip_skip = spec.options.clip_skip,
                                .prompt_style = spec.options.prompt_style,
                                .null_token = spec.options.null_context});
}

KeepLatents::KeepLatents(const RunSpec& spec)
    : latents_({spec.images(), spec.channels, spec.height, spec.width}, DType::f32) {}

void KeepLatents::take(IndexRange images, const Tensor& latents) {
  std::copy_n(latents.data<float>(), latents.elements(),
              latents_.slice(images.first, images.end()).data<float>());
}

RunResult run(Backend& backend, std::span<const Model> models, const RunSpec& spec,
              std::span<const IndexRange> images, RunObserver& observer, BatchSink& sink,
              const EncodedInputs& inputs) {
  const Stopwatch stopwatch;
  double sink_seconds = 0;
  RunResult result{.latents = {}, .models = std::vector<ModelTime>(models.size())};
  if (spec.switch_threshold) result.small_steps.resize(static_cast<size_t>(spec.trajectory.size()) + 1);
  const auto solver = make_solver(backend, spec.options.sampler, spec.solver);
  const std::vector<IndexRange> batches = batches_of(images, spec.options.batch_size);

  for (size_t batch = 0; batch < batches.size(); ++batch) {
    const auto [first, count] = batches[batch];
    std::optional<AdaptiveBatch> adaptive;
    if (spec.switch_threshold) adaptive.emplace(backend, models, spec, batches[batch], inputs, result.models);
    std::vector<std::unique_ptr<StageDenoiser>> stages(models.size());
    BatchObserver steps(observer, result, *solver, spec, stages, adaptive ? &*adaptive : nullptr,
                        {.batch = static_cast<int64_t>(batch),
                         .batches = std::ssize(batches),
                         .step = 0,
                         .steps = spec.trajectory.size(),
                         .model = 0,
                         .images = batches[batch],
                         .images_done = result.images,
                         .images_total = total(batches)});

    std::vector<std::unique_ptr<Denoiser>> observed(models.size());
    std::vector<Denoiser*> pointers(models.size());
    for (size_t i = 0; i < models.size(); ++i) {
      if (spec.trajectory.steps_of(static_cast<int>(i)) == 0) continue;
      if (!adaptive)
        stages[i] = std::make_unique<StageDenoiser>(backend, models[i], spec, static_cast<int>(i),
                                                    batches[batch], *inputs.conditions[i]);
      observed[i] = std::make_unique<ObservedDenoiser>(adaptive ? adaptive->denoiser() : *stages[i], steps);
      pointers[i] = observed[i].get();
    }

    const auto noise = noise_of(backend, spec, batches[batch]);
    const Sampled sampled =
        sample(spec.trajectory, pointers, *solver, *noise, start_of(backend, spec, inputs, *noise), &steps);
    result.cancelled = sampled.cancelled;
    if (result.cancelled) break;

    const Tensor latents = backend.download(to_channels_first(backend, sampled.x));
    check_finite(latents, first);
    result.images += count;
    if (adaptive)
      for (const int small : adaptive->small_steps()) ++result.small_steps[static_cast<size_t>(small)];
    result.latents_hash =
        fnv1a(latents.bytes(), static_cast<size_t>(latents.elements()) * sizeof(float), result.latents_hash);
    const Stopwatch sink_stopwatch;
    sink.take(batches[batch], latents);
    sink_seconds += sink_stopwatch.seconds();
  }
  result.seconds = stopwatch.seconds() - sink_seconds;
  return result;
}

RunResult run(Backend& backend, std::span<const Model> models, const RunSpec& spec, RunObserver& observer,
              const EncodedInputs& inputs) {
  const IndexRange all = {0, spec.images()};
  KeepLatents keep(spec);
  RunResult result = run(backend, models, spec, {&all, 1}, observer, keep, inputs);
  result.latents = keep.latents();
  return result;
}

RunResult run(Backend& backend, std::span<const Model> models, const RunSpec& spec, RunObserver& observer) {
  std::vector<ModelInfo> infos;
  for (const Model& model : models) infos.push_back(model.info);
  return run(backend, models, spec, observer, {.conditions = make_condition_makers(backend, infos, spec)});
}

std::unique_ptr<Denoiser> make_denoiser(Backend& backend, const Model& model, const RunSpec& spec,
                                        double cfg_scale, std::span<const int64_t> images,
                                        const ConditionMaker& conditions) {
  const bool guided = cfg_scale != 1;
  auto denoiser = std::make_unique<NetworkDenoiser>(
      backend, model.network->bind(rows_of(spec, images, guided, conditions), spec.height, spec.width),
      model.info.prediction);
  if (!guided) return denoiser;
  return std::make_unique<GuidedDenoiser>(backend, std::move(denoiser), cfg_scale, spec.cfg_channels);
}

std::unique_ptr<Denoiser> make_denoiser(Backend& backend, const Model& model, const RunSpec& spec,
                                        double cfg_scale, IndexRange images,
                                        const ConditionMaker& conditions) {
  return make_denoiser(backend, model, spec, cfg_scale, indices_of(images), conditions);
}

int64_t evaluations(Backend& backend, const RunSpec& spec, int model) {
  return std::ssize(
      levels_asked(spec.trajectory, *make_solver(backend, spec.options.sampler, spec.solver), model));
}

double time_evaluation(Backend& backend, const Model& model, const RunSpec& spec, double cfg_scale,
                       int repeats, const ConditionMaker& conditions) {
  const int64_t count = std::min(spec.options.batch_size, spec.images());
  const auto denoiser = make_denoiser(backend, model, spec, cfg_scale, {0, count}, conditions);
  const Tensor x = noise_of(backend, spec, {0, count})->initial();
  const NoiseLevel level = spec.trajectory[0].level;
  denoiser->prepare({&level, 1});
  denoiser->predict(x, level);
  std::vector<double> seconds;
  for (int i = 0; i < repeats; ++i) {
    const Stopwatch stopwatch;
    denoiser->predict(x, level);
    seconds.push_back(stopwatch.seconds());
  }
  std::ranges::nth_element(seconds, seconds.begin() + repeats / 2);
  return seconds[static_cast<size_t>(repeats / 2)];
}

}  // namespace tstitch
