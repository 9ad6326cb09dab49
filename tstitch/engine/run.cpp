#include "tstitch/engine/run.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>

#include "tstitch/base/clock.h"
#include "tstitch/base/error.h"
#include "tstitch/diffusion/blend.h"
#include "tstitch/diffusion/sample.h"
#include "tstitch/engine/batch_router.h"
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

std::unique_ptr<NoiseSource> noise_of(Backend& backend, const RunSpec& spec, IndexRange images) {
  const Shape chw = {spec.channels, spec.height, spec.width};
  auto drawn = make_noise(backend, spec.options.rng, seeds_of(spec, indices_of(images)), chw);
  if (!spec.options.given.initial && !spec.options.given.steps) return drawn;
  const Shape nchw = {images.count, spec.channels, spec.height, spec.width};
  return std::make_unique<GivenNoise>(backend, spec.options.given, images.first, nchw, std::move(drawn));
}

// The initial picture for each of `images` images, (N, H, W, C).
Tensor clean_of(Backend& backend, const EncodedInputs& inputs, int64_t images) {
  return repeat(backend, to_channels_last(backend, backend.upload(inputs.init_latent)), images);
}

// x at the trajectory's first level: noise, or the initial picture under noise (q(x_t | x_0)). What is to be
// painted anew in all steps is noise, as in diffusers.
Tensor start_of(Backend& backend, const RunSpec& spec, const EncodedInputs& inputs, NoiseSource& noise) {
  Tensor x = noise.initial();
  if (!inputs.init_latent || (spec.mask && *spec.options.strength == 1))
    return spec.initial_scale == 1 ? x : combine(backend, {{spec.initial_scale, &x}});
  const Tensor clean = clean_of(backend, inputs, x.extent(0));
  const NoiseLevel& level = spec.trajectory[0].level;
  return combine(backend, {{level.alpha, &clean}, {level.sigma, &x}});
}

// A batch's solver where only a part is painted; nothing where all is.
std::optional<BlendedSolver> blended(Backend& backend, const RunSpec& spec, const EncodedInputs& inputs,
                                     NoiseSource& noise, Solver& solver, int64_t images) {
  if (!spec.mask) return std::nullopt;
  check_internal(static_cast<bool>(inputs.init_latent), "a mask without an initial latent");
  return std::optional<BlendedSolver>(std::in_place, backend, solver, spec.options.blend,
                                      KnownPart{.clean = clean_of(backend, inputs, images),
                                                .noise = noise.initial(),
                                                .painted = spec.painted_places()},
                                      spec.blended, spec.trajectory.size() - 1);
}

// Passes the steps on.
class BatchObserver final : public Observer {
 public:
  BatchObserver(RunObserver& outer, const BatchRouter& router, const Progress& progress)
      : outer_(outer), router_(router), progress_(progress) {}

  void before(const Step& step) override {
    progress_.step = step.index;
    progress_.model = router_.serving(step);
    outer_.progress(progress_);
  }
  bool after(const Step&, const Tensor&) override { return !outer_.cancelled(); }

 private:
  RunObserver& outer_;
  const BatchRouter& router_;
  Progress progress_;
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
                                                                         const RunSpec& spec,
                                                                         const std::vector<bool>& used) {
  std::vector<NegativePrompt> negatives;
  for (const Stage& stage : spec.stages)
    negatives.push_back({stage.negative_prompt, stage.negative_is_zeros});
  return make_condition_makers(backend, models,
                               {.prompts = spec.options.prompts,
                                .negatives = negatives,
                                .clip_skip = spec.options.clip_skip,
                                .prompt_style = spec.options.prompt_style,
                                .embeddings = spec.embeddings,
                                .sizes = spec.sizes.value_or(PictureSizes{}),
                                .scores = spec.scores,
                                .null_token = spec.options.null_context,
                                .used = used,
                                .threads = spec.options.backend.threads});
}

KeepLatents::KeepLatents(const RunSpec& spec)
    : latents_({spec.images(), spec.channels, spec.height, spec.width}, DType::f32) {}

void KeepLatents::take(IndexRange images, const Tensor& latents) {
  std::copy_n(latents.data<float>(), latents.elements(),
              latents_.slice(images.first, images.end()).data<float>());
}

RunResult run(Backend& backend, Evaluator& evaluator, std::span<const Model> models, const RunSpec& spec,
              std::span<const IndexRange> images, RunObserver& observer, BatchSink& sink,
              const EncodedInputs& inputs) {
  const Stopwatch stopwatch;
  double sink_seconds = 0;
  RunResult result{.latents = {}, .models = std::vector<ModelTime>(models.size())};
  if (spec.switch_threshold) result.small_steps.resize(static_cast<size_t>(spec.trajectory.size()) + 1);
  const auto solver = make_solver(backend, spec.options.sampler, spec.solver);
  const std::vector<IndexRange> batches = batches_of(images, spec.options.batch_size);
  ConditionBinder binder(spec.height, spec.width);

  for (size_t batch = 0; batch < batches.size(); ++batch) {
    const auto [first, count] = batches[batch];
    BatchRouter router(backend, evaluator, models, spec, *solver, batches[batch], inputs, binder,
                       result.models, observer);
    binder.end_batch();
    BatchObserver steps(observer, router,
                        {.batch = static_cast<int64_t>(batch),
                         .batches = std::ssize(batches),
                         .step = 0,
                         .steps = spec.trajectory.size(),
                         .model = 0,
                         .images = batches[batch],
                         .images_done = result.images,
                         .images_total = total(batches)});

    const auto noise = noise_of(backend, spec, batches[batch]);
    auto part = blended(backend, spec, inputs, *noise, *solver, count);
    const Sampled sampled = sample(spec.trajectory, router, part ? *part : *solver, *noise,
                                   start_of(backend, spec, inputs, *noise), &steps);
    result.cancelled = sampled.cancelled;
    if (result.cancelled) break;

    const Tensor latents = backend.download(to_channels_first(backend, sampled.x));
    check_finite(latents, first);
    result.images += count;
    for (const int small : router.small_steps()) ++result.small_steps[static_cast<size_t>(small)];
    result.latents_hash =
        fnv1a(latents.bytes(), static_cast<size_t>(latents.elements()) * sizeof(float), result.latents_hash);
    const Stopwatch sink_stopwatch;
    sink.take(batches[batch], latents);
    sink_seconds += sink_stopwatch.seconds();
  }
  result.seconds = stopwatch.seconds() - sink_seconds;
  return result;
}

RunResult run(Backend& backend, std::span<const Model> models, const RunSpec& spec,
              std::span<const IndexRange> images, RunObserver& observer, BatchSink& sink,
              const EncodedInputs& inputs) {
  DirectEvaluator evaluator;
  return run(backend, evaluator, models, spec, images, observer, sink, inputs);
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

int64_t evaluations(Backend& backend, const RunSpec& spec, int model) {
  return std::ssize(
      levels_asked(spec.trajectory, *make_solver(backend, spec.options.sampler, spec.solver), model));
}

double time_evaluation(Backend& backend, const Model& model, const RunSpec& spec, double cfg_scale,
                       uint64_t controls, int repeats, const ConditionMaker& conditions, bool whole) {
  const int64_t count = std::min(spec.options.batch_size, spec.images());
  ConditionBinder binder(spec.height, spec.width);
  DirectEvaluator evaluator;
  const StageRows rows = bind_rows(binder, model, spec, cfg_scale, conditions, {0, count});
  rows.steer(controls);
  const auto denoiser = make_denoiser(backend, evaluator, model, spec, cfg_scale, rows);
  const Tensor x = noise_of(backend, spec, {0, count})->initial();
  const NoiseLevel level = spec.trajectory[0].level;
  denoiser->prepare({&level, 1});
  const auto predict = [&] { backend.download(denoiser->predict(x, level).x0); };  // waits for a device
  if (!whole) {
    predict();
    rows.set_whole([](int64_t) { return false; });
  }
  // A device prepares at the first time, and at the second it records what it then replays
  // (Backend::repeated).
  for (int i = 0; i < (x.place().on_host() ? 1 : 3); ++i) predict();
  std::vector<double> seconds;
  for (int i = 0; i < repeats; ++i) {
    const Stopwatch stopwatch;
    predict();
    seconds.push_back(stopwatch.seconds());
  }
  std::ranges::nth_element(seconds, seconds.begin() + repeats / 2);
  return seconds[static_cast<size_t>(repeats / 2)];
}

}  // namespace tstitch
