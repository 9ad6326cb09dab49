#include "tstitch/tune/sweep.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/condition/class_names.h"
#include "tstitch/engine/pixels.h"
#include "tstitch/output/run_manifest.h"
#include "tstitch/tune/equal_steps.h"
#include "tstitch/tune/similarity.h"
#include "tstitch/tune/timing.h"

namespace tstitch {
namespace {

std::vector<SweepPoint> share_points(const SweepOptions& options, size_t models, const SampleOptions& base) {
  check(models >= 2, ErrorKind::usage,
        "sweep shares a trajectory between two models or more, but there is 1");
  check(options.ratios.empty() || models == 2, ErrorKind::usage,
        "--ratios shares a trajectory between two models, but there are ", models, ": use --grid");
  check(options.ratios.empty() || !options.grid, ErrorKind::usage, "--ratios and --grid exclude each other");
  std::vector<SweepPoint> points;
  for (const double ratio : options.ratios) {
    check(ratio >= 0 && ratio <= 1, ErrorKind::usage, "--ratios holds ", ratio, ", expected 0 ... 1");
    points.push_back(share_point(base, {ratio, 1 - ratio}));
  }
  if (options.ratios.empty())
    for (const std::vector<double>& fractions : simplex(models, options.grid.value_or(models == 2 ? 10 : 5)))
      points.push_back(share_point(base, fractions));
  return points;
}

std::vector<SweepPoint> make_points(const SweepOptions& options, const std::vector<ModelInfo>& infos,
                                    const SampleOptions& base) {
  std::vector<SweepPoint> points;
  if (options.orders) points = order_points(infos, base);
  if (!options.orders || !options.ratios.empty() || options.grid) {
    const auto shares = share_points(options, infos.size(), base);
    points.insert(points.begin(), shares.begin(), shares.end());
  }
  const auto fewer = step_points(infos, base, options.step_counts);
  points.insert(points.end(), fewer.begin(), fewer.end());
  return points;
}

std::vector<std::string> row_labels(const RunSpec& spec, const ModelInfo& model, int64_t rows) {
  constexpr size_t kShown = 24;  // what of a prompt fits beside its row
  const ClassNames names(model);
  std::vector<std::string> labels;
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t c = spec.subjects[static_cast<size_t>(i)];
    labels.push_back(spec.options.prompts.empty()
                         ? names.usual(c)
                         : printable(spec.options.prompts[static_cast<size_t>(c)], kShown));
  }
  return labels;
}

CurvePoint curve_point(const SweepPoint& point, const RunSpec& spec, Backend& backend, size_t models) {
  CurvePoint on_curve{.kind = point.kind,
                      .label = point.label,
                      .fractions = point.fractions,
                      .sampler = spec.options.sampler,
                      .steps_option = spec.options.steps,
                      .steps = spec.trajectory.size(),
                      .levels = hash_of_levels(spec.trajectory),
                      .eta = spec.solver.eta,
                      .assignment = format_assignment(spec.trajectory.assignment()),
                      .evaluations = {},
                      .runs = {},
                      .mean = {},
                      .deviation = {}};
  for (size_t i = 0; i < models; ++i)
    on_curve.evaluations.push_back(evaluations(backend, spec, static_cast<int>(i)));
  return on_curve;
}

// Sees the pictures of a run go by: measures them, and keeps the first ones.
class Watched final : public PictureSink {
 public:
  Watched(int64_t kept, FeatureCollector* collector)
      : kept_(static_cast<size_t>(kept)), collector_(collector) {}

  void add(int64_t, const std::vector<Image>& pictures) override {
    if (collector_) collector_->add(to_tensor(pictures));
    for (const Image& picture : pictures)
      if (first.size() < kept_) first.push_back(picture);
  }

  std::vector<Image> first;

 private:
  size_t kept_;
  FeatureCollector* collector_;
};

// What each image of the run is to show; none of classes.
PicturePrompts prompts_of(const RunSpec& spec) {
  if (spec.options.prompts.empty()) return {};
  return {spec.options.prompts, spec.subjects};
}

// The run with its pictures measured; nothing when it was cancelled.
std::optional<SweptRun> sweep_run(Engine& engine, const RunSpec& spec, const Sweep& sweep,
                                  const Measure& measure, SweepObserver& observer) {
  std::optional<FeatureCollector> collector;
  if (measure.network) collector.emplace(*measure.network, needs_of(sweep.metrics), prompts_of(spec));
  Watched watched(sweep.rows, collector ? &*collector : nullptr);
  const IndexRange all{0, spec.images()};
  const RunResult result = engine.sample(spec, {&all, 1}, *observer.observe(spec), &watched);
  if (result.cancelled) return {};
  SweptRun swept{.run = {.seed = spec.options.seed, .images = result.images, .seconds = result.seconds},
                 .pictures = {}};
  for (const ModelTime& model : result.models) swept.run.model_seconds.push_back(model.seconds);
  if (collector)
    swept.run.metrics =
        evaluate(*measure.backend, sweep.metrics, collector->result("the samples"), measure.reference);
  swept.pictures = std::move(watched.first);
  return swept;
}

// The first pictures of a run whose numbers are known; nothing when it was cancelled.
std::optional<SweptRun> first_pictures(Engine& engine, const RunSpec& spec, const Sweep& sweep, CurveRun run,
                                       SweepObserver& observer) {
  Watched watched(sweep.rows, nullptr);
  const IndexRange first{0, sweep.rows};
  if (engine.sample(spec, {&first, 1}, *observer.observe(spec), &watched).cancelled) return {};
  return SweptRun{.run = std::move(run), .pictures = std::move(watched.first)};
}

}  // namespace

std::string Sweep::title() const {
  const RunSpec& first = specs[0];
  return concat(join(names_of(infos), " then "), ": ", first.options.sampler, ", ", first.trajectory.size(),
                " steps, cfg ", *first.options.cfg_scale, ", seed ", first.options.seed);
}

Shape Sweep::picture() const {
  const ModelInfo& last = infos.back();
  return {specs[0].height * last.pixels_per_latent, specs[0].width * last.pixels_per_latent,
          last.pixels ? specs[0].channels : 3};
}

Sweep make_sweep(const std::vector<ModelInfo>& infos, const SampleOptions& base, const SweepOptions& options,
                 const std::vector<Metric>& metrics) {
  constexpr int kMostRepeats = 1000;
  check(1 <= options.repeats && options.repeats <= kMostRepeats, ErrorKind::usage, "--repeats is ",
        options.repeats, ", expected 1 ... ", kMostRepeats);
  Sweep sweep{.infos = infos,
              .points = make_points(options, infos, base),
              .specs = {},
              .repeats = static_cast<size_t>(options.repeats),
              .metrics = metrics,
              .rows = 0};
  check(options.step_counts.empty() || base.spacing.timesteps.empty(), ErrorKind::usage,
        "--step-counts and --timesteps exclude each other: other numbers of steps have other timesteps");
  check_equal_steps(base, "which a curve does not know yet");
  for (const StageOptions& stage : base.stages)
    check(!options.orders || !stage.form.cache.holds(), ErrorKind::usage,
          "--orders: a --stage with cache= begins anew whenever it comes back, and then saves nothing");
  const int64_t images = make_run_spec(infos, sweep.points[0].options).images();
  for (const SweepPoint& point : sweep.points)
    for (int repeat = 0; repeat < options.repeats; ++repeat) {
      SampleOptions one = point.options;
      one.seed = seed_of_repeat(one, repeat, images);
      sweep.specs.push_back(make_run_spec(infos, one));
    }
  constexpr int64_t kAllRows = 10, kSomeRows = 8;
  sweep.rows = std::min<int64_t>(images, options.rows.value_or(images <= kAllRows ? kAllRows : kSomeRows));
  check(sweep.rows >= 1, ErrorKind::usage, "--rows is ", sweep.rows, ", expected at least 1");
  return sweep;
}

std::vector<std::string> fingerprints_of(const Sweep& sweep, const std::string& vae, const Backend& backend,
                                         const std::function<void()>& between) {
  const RunContents contents(sweep.infos, autoencoder_path(sweep.infos.back(), vae), between);
  std::vector<std::string> fingerprints;
  for (const RunSpec& spec : sweep.specs)
    fingerprints.push_back(RunManifest(spec, sweep.infos, contents, backend).fingerprint_text());
  return fingerprints;
}

std::string describe_timing(const Sweep& sweep, const Backend& backend) {
  return describe_timing(backend, sweep.specs[0].options.batch_size);
}

std::optional<SweepResult> run_sweep(Engine& engine, const Sweep& sweep, const Measure& measure,
                                     const std::vector<std::string>& fingerprints, SweepState& state,
                                     SweepObserver& observer) {
  const RunSpec& first = sweep.specs[0];
  SweepResult result{.curve = {.models = names_of(sweep.infos),
                               .cfg_scale = *first.options.cfg_scale,
                               .measured = measure.description,
                               .timed = describe_timing(sweep, engine.backend()),
                               .points = {}},
                     .figure = {.title = sweep.title(),
                                .row_labels = row_labels(first, sweep.infos.back(), sweep.rows),
                                .columns = {}}};
  Curve& curve = result.curve;
  const int last = static_cast<int>(sweep.infos.size()) - 1;
  const auto alone = static_cast<double>(evaluations(engine.backend(), served_by(first, last), last));
  for (size_t i = 0; i < sweep.points.size(); ++i) {
    curve.points.push_back(
        curve_point(sweep.points[i], sweep.specs[i * sweep.repeats], engine.backend(), sweep.infos.size()));
    std::vector<Image> pictures;
    for (size_t repeat = 0; repeat < sweep.repeats; ++repeat) {
      const RunSpec& spec = sweep.specs[i * sweep.repeats + repeat];
      const std::string& fingerprint = fingerprints[i * sweep.repeats + repeat];
      const std::optional<CurveRun> known = state.find(fingerprint);
      std::optional<SweptRun> swept;
      if (known) swept = {*known, state.find_pictures(fingerprint, sweep.rows, sweep.picture()[0])};
      if (known && repeat == 0 && swept->pictures.empty())
        swept = first_pictures(engine, spec, sweep, *known, observer);
      if (!known) swept = sweep_run(engine, spec, sweep, measure, observer);
      if (!swept) return std::nullopt;
      swept->run.run = fingerprint;
      curve.points.back().runs.push_back(swept->run);
      if (repeat == 0) pictures = swept->pictures;
      summarise(curve);
      state.keep(curve, *swept);
    }
    result.figure.columns.push_back(
        {.label = sweep.points[i].label, .note = "", .images = std::move(pictures)});
    observer.finished(curve.points.back(), alone * seconds_per_evaluation(curve).back());
  }
  for (size_t i = 0; i < curve.points.size(); ++i) {
    char seconds[32];
    std::snprintf(seconds, sizeof seconds, "%.3g s", curve.points[i].seconds_per_image);
    result.figure.columns[i].note = seconds;
  }
  return result;
}

}  // namespace tstitch
