#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/arguments.h"
#include "apps/commands.h"
#include "apps/measure.h"
#include "apps/session.h"
#include "apps/sweep_state.h"
#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/condition/class_names.h"
#include "tstitch/draw/figure.h"
#include "tstitch/engine/command_files.h"
#include "tstitch/engine/pixels.h"
#include "tstitch/engine/report.h"
#include "tstitch/io/file.h"
#include "tstitch/io/json.h"
#include "tstitch/output/run_manifest.h"
#include "tstitch/tune/curve.h"
#include "tstitch/tune/similarity.h"
#include "tstitch/tune/sweep_points.h"

namespace tstitch {
namespace {

struct SweepArguments : Arguments, MeasureArguments {
  std::vector<double> ratios;
  std::optional<int> grid;
  bool orders = false;
  std::vector<std::string> step_counts;
  int repeats = 1;
  std::optional<int> rows;
};

std::string format(const char* form, double value) {
  char text[64];
  std::snprintf(text, sizeof text, form, value);
  return text;
}

std::vector<SweepPoint> share_points(const SweepArguments& a, size_t models, const SampleOptions& options) {
  check(models >= 2, ErrorKind::usage,
        "sweep shares a trajectory between two models or more, but there is 1");
  check(a.ratios.empty() || models == 2, ErrorKind::usage,
        "--ratios shares a trajectory between two models, but there are ", models, ": use --grid");
  check(a.ratios.empty() || !a.grid, ErrorKind::usage, "--ratios and --grid exclude each other");
  std::vector<SweepPoint> points;
  for (const double ratio : a.ratios) {
    check(ratio >= 0 && ratio <= 1, ErrorKind::usage, "--ratios holds ", ratio, ", expected 0 ... 1");
    points.push_back(share_point(options, {ratio, 1 - ratio}));
  }
  if (a.ratios.empty())
    for (const std::vector<double>& fractions : simplex(models, a.grid.value_or(models == 2 ? 10 : 5)))
      points.push_back(share_point(options, fractions));
  return points;
}

std::vector<SweepPoint> make_points(const SweepArguments& a, const std::vector<ModelInfo>& infos,
                                    const SampleOptions& options) {
  std::vector<SweepPoint> points;
  if (a.orders) points = order_points(infos, options);
  if (!a.orders || !a.ratios.empty() || a.grid) {
    const auto shares = share_points(a, infos.size(), options);
    points.insert(points.begin(), shares.begin(), shares.end());
  }
  const auto fewer = step_points(infos, options, a.step_counts);
  points.insert(points.end(), fewer.begin(), fewer.end());
  return points;
}

// What of a prompt fits beside its row; the figure's font has ASCII only.
std::string shortened(const std::string& prompt) {
  constexpr size_t kShown = 24;
  return printable(prompt.substr(0, kShown)) + (prompt.size() > kShown ? "..." : "");
}

std::vector<std::string> row_labels(const RunSpec& spec, const ModelInfo& model, int64_t rows) {
  const ClassNames names(model);
  std::vector<std::string> labels;
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t c = spec.subjects[static_cast<size_t>(i)];
    labels.push_back(spec.prompts.empty() ? names.usual(c) : shortened(spec.prompts[static_cast<size_t>(c)]));
  }
  return labels;
}

// What a sweep is about, decided before anything is loaded, so that a bad ratio costs nothing.
struct Sweep {
  std::vector<ModelInfo> infos;
  std::vector<SweepPoint> points;
  std::vector<RunSpec>
      specs;  // of point i and repeat r: specs[i * repeats + r]; fingerprints in this order too
  std::vector<Metric> metrics;
  std::string output;  // ends in .png
  int64_t rows;        // of the picture
};

Sweep prepare(const SweepArguments& a) {
  Sweep sweep{
      .infos = read_models(a), .points = {}, .specs = {}, .metrics = {}, .output = a.output, .rows = 0};
  sweep.points = make_points(a, sweep.infos, sample_options(a, sweep.infos));
  check(a.repeats >= 1, ErrorKind::usage, "--repeats is ", a.repeats, ", expected at least 1");
  for (const SweepPoint& point : sweep.points)
    for (int repeat = 0; repeat < a.repeats; ++repeat) {
      SampleOptions options = point.options;
      options.seed += static_cast<uint64_t>(repeat);
      sweep.specs.push_back(make_run_spec(sweep.infos, options));
    }
  if (!a.metrics.empty()) sweep.metrics = parse_metrics(a.metrics);
  if (a.metrics.empty() && !a.reference.empty()) sweep.metrics = {Metric::fid};
  constexpr int64_t kAllRows = 10, kSomeRows = 8;
  const int64_t images = sweep.specs[0].images();
  sweep.rows = std::min<int64_t>(images, a.rows.value_or(images <= kAllRows ? kAllRows : kSomeRows));
  check(sweep.rows >= 1, ErrorKind::usage, "--rows is ", sweep.rows, ", expected at least 1");
  check_decodable(a, sweep.infos.back());
  if (sweep.output.empty()) sweep.output = "sweep.png";
  check(sweep.output.ends_with(".png"), ErrorKind::usage, "--output is \"", printable(sweep.output),
        "\", expected a name that ends in .png");
  CommandFiles files = inputs_of(a, sweep.infos);
  files.reads("--reference", a.reference, ".png");
  files.reads("--features", a.features);
  for (const std::string& path : SweepState::files_of(sweep.output, sweep.metrics))
    files.writes("--output", path);
  return sweep;
}

// Sees the pictures of a run go by: measures them, and keeps the first ones.
class Watched final : public PictureOutput {
 public:
  Watched(int64_t images, int64_t kept, FeatureCollector* collector)
      : missing_{{0, images}}, kept_(static_cast<size_t>(kept)), collector_(collector) {}

  const std::vector<IndexRange>& missing() const override { return missing_; }
  void add(int64_t, const std::vector<Image>& pictures) override {
    if (collector_) collector_->add(to_tensor(pictures));
    for (const Image& picture : pictures)
      if (first.size() < kept_) first.push_back(picture);
  }
  std::vector<std::string> finish() override { return {}; }

  std::vector<Image> first;

 private:
  std::vector<IndexRange> missing_;
  size_t kept_;
  FeatureCollector* collector_;
};

// The network and the reference of the metrics.
struct Measure {
  std::unique_ptr<Backend> backend = make_backend({.dtype = "f32"});
  std::unique_ptr<FeatureExtractor> network;
  SetStatistics reference;
  std::string description;  // of both, so that values of another measure are told apart
};

// A file by its name and what it holds.
std::string identity_of(const std::string& path) {
  if (path.empty()) return "of the demo family";
  const std::string name =
      std::filesystem::path(path + "/.").lexically_normal().parent_path().filename().string();
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return name;
  char crc[32];
  std::snprintf(crc, sizeof crc, " (crc32 %08x)", crc32_of_file(path));
  return name + crc;
}

Shape picture_of(const Sweep& sweep) {
  const ModelInfo& last = sweep.infos.back();
  const RunSpec& spec = sweep.specs[0];
  return {spec.height * last.pixels_per_latent, spec.width * last.pixels_per_latent,
          last.pixels ? spec.channels : 3};
}

// What the samples will have, without numbers: enough to see whether they can be compared.
SetStatistics expected_samples(const FeatureExtractor& network, const FeatureNeeds& needs, int64_t images) {
  const auto gaussian = [](int64_t width) {
    return GaussianStatistics{std::vector<double>(static_cast<size_t>(width)), {}};
  };
  return {.name = "the samples",
          .pictures = images,
          .pooled = gaussian(network.features()),
          .spatial = gaussian(network.spatial_features()),
          .features = needs.features ? Tensor({images, network.features()}, DType::f32) : Tensor(),
          .inception_score = 0};
}

Measure load_measure(const SweepArguments& a, const Sweep& sweep) {
  Measure measure;
  if (sweep.metrics.empty()) return measure;
  const Shape picture = picture_of(sweep);
  measure.network = feature_extractor_for(*measure.backend, a, picture);
  FeatureNeeds needs = needs_of(sweep.metrics);
  needs.logits = false;
  PictureSet set = open_picture_set(reference_for(a, picture));
  measure.reference = tstitch::measure(set, measure.network.get(), needs, [](int64_t) {});
  measure.description =
      concat("features ", identity_of(a.features), ", reference ", identity_of(a.reference));
  const SetStatistics samples = expected_samples(*measure.network, needs, sweep.specs[0].images());
  for (const Metric metric : sweep.metrics) {
    const std::string reason = obstacle(metric, samples, measure.reference);
    check(reason.empty(), ErrorKind::usage, "no ", name_of(metric), ": ", reason);
  }
  return measure;
}

std::vector<std::string> fingerprints_of(const SweepArguments& a, const Sweep& sweep,
                                         const Backend& backend) {
  const RunContents contents(sweep.infos, vae_path(a, sweep.infos.back()));
  std::vector<std::string> fingerprints;
  for (const RunSpec& spec : sweep.specs)
    fingerprints.push_back(RunManifest(spec, sweep.infos, contents, backend).fingerprint_text());
  return fingerprints;
}

CurvePoint curve_point(const SweepPoint& point, const RunSpec& spec, Backend& backend, size_t models) {
  CurvePoint on_curve{.kind = point.kind,
                      .label = point.label,
                      .fractions = point.fractions,
                      .sampler = spec.sampler,
                      .steps_option = point.options.steps,
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

// The run with its pictures measured; nothing when it was interrupted.
std::optional<SweptRun> sweep_run(Session& session, const RunSpec& spec, const Sweep& sweep,
                                  const Measure& measure) {
  std::optional<FeatureCollector> collector;
  if (measure.network) collector.emplace(*measure.network, needs_of(sweep.metrics));
  Watched watched(spec.images(), sweep.rows, collector ? &*collector : nullptr);
  constexpr int64_t kMany = 64;
  const RunResult result =
      session.sample(spec, &watched, nullptr, spec.images() > kMany ? Show::images : Show::bar);
  if (result.cancelled) return {};
  SweptRun swept{.run = {.seed = spec.seed, .images = result.images, .seconds = result.seconds},
                 .pictures = {}};
  for (const ModelTime& model : result.models) swept.run.model_seconds.push_back(model.seconds);
  if (collector)
    swept.run.metrics =
        evaluate(*measure.backend, sweep.metrics, collector->result("the samples"), measure.reference);
  swept.pictures = std::move(watched.first);
  return swept;
}

// The first pictures of a run whose numbers are known; nothing when it was interrupted.
std::optional<SweptRun> first_pictures(Session& session, const RunSpec& spec, const Sweep& sweep,
                                       CurveRun run) {
  Watched watched(sweep.rows, sweep.rows, nullptr);
  if (session.sample(spec, &watched, nullptr, Show::bar).cancelled) return {};
  return SweptRun{.run = std::move(run), .pictures = std::move(watched.first)};
}

void print_heading(const Sweep& sweep) {
  std::printf("%-18s", "point");
  for (const ModelInfo& info : sweep.infos) std::printf("  %10s", info.name.c_str());
  std::printf("  %10s  %8s", "s/image", "speed-up");
  for (const Metric metric : sweep.metrics) std::printf("  %10s", std::string(name_of(metric)).c_str());
  std::printf("\n");
}

// alone: seconds per image of the last model alone, 0 while they are not known.
void print_point(const CurvePoint& point, double alone) {
  std::printf("%-18s", point.label.c_str());
  for (const int64_t count : point.evaluations) std::printf("  %10s", concat(count, "x").c_str());
  std::printf("  %10.4f  ", point.seconds_per_image);
  if (alone > 0)
    std::printf("%7.2fx", alone / point.seconds_per_image);
  else
    std::printf("%8s", "");
  for (const auto& [metric, value] : point.mean) std::printf("  %10.5g", value);
  for (const auto& [metric, value] : point.deviation)
    std::printf("  +- %.2g %s", value, std::string(name_of(metric)).c_str());
  std::printf("\n");
  std::fflush(stdout);
}

// Which points nothing beats, once all are known.
void print_frontier(const Curve& curve) {
  std::string labels;
  for (const CurvePoint& point : curve.points)
    if (point.pareto) labels += (labels.empty() ? "" : ", ") + point.label;
  if (!labels.empty())
    std::printf("no other is both faster and better in %s than: %s\n",
                std::string(name_of(curve.points[0].mean[0].first)).c_str(), labels.c_str());
}

int sweep_command(const SweepArguments& a) {
  check_only_process("sweep");
  const Sweep sweep = prepare(a);
  const Measure measure = load_measure(a, sweep);
  Session session(a, sweep.infos);
  const RunSpec& first = sweep.specs[0];
  const std::string title =
      concat(join(names_of(sweep.infos), " then "), ": ", first.sampler, ", ", first.trajectory.size(),
             " steps, cfg ", first.cfg_scale, ", seed ", first.seed);
  const bool talk = !a.json && !a.quiet;
  if (talk)
    std::printf("%s, %lld images\n%s\n", session.backend().description().c_str(),
                static_cast<long long>(first.images()), title.c_str());
  const std::vector<std::string> fingerprints = fingerprints_of(a, sweep, session.backend());
  SweepState state(sweep.output, a.resume, measure.description, sweep.metrics, fingerprints);
  if (session.load(sweep.specs, true) == kInterrupted) return report_interrupted();
  session.warm_up(first);

  Figure figure{
      .title = title, .row_labels = row_labels(first, sweep.infos.back(), sweep.rows), .columns = {}};
  Curve curve{.models = {}, .cfg_scale = first.cfg_scale, .measured = measure.description, .points = {}};
  for (const ModelInfo& info : sweep.infos) curve.models.push_back(info.name);
  if (talk) print_heading(sweep);
  const int last = static_cast<int>(sweep.infos.size()) - 1;
  const auto alone = static_cast<double>(evaluations(session.backend(), served_by(first, last), last));
  const auto repeats = static_cast<size_t>(a.repeats);
  for (size_t i = 0; i < sweep.points.size(); ++i) {
    curve.points.push_back(
        curve_point(sweep.points[i], sweep.specs[i * repeats], session.backend(), sweep.infos.size()));
    std::vector<Image> pictures;
    for (size_t repeat = 0; repeat < repeats; ++repeat) {
      const RunSpec& spec = sweep.specs[i * repeats + repeat];
      const std::string& fingerprint = fingerprints[i * repeats + repeat];
      const std::optional<CurveRun> known = state.find(fingerprint);
      std::optional<SweptRun> swept;
      if (known) swept = {*known, state.find_pictures(fingerprint, sweep.rows, picture_of(sweep)[0])};
      if (known && repeat == 0 && swept->pictures.empty())
        swept = first_pictures(session, spec, sweep, *known);
      if (!known) swept = sweep_run(session, spec, sweep, measure);
      if (!swept) return report_interrupted(state.kept());
      swept->run.run = fingerprint;
      curve.points.back().runs.push_back(swept->run);
      if (repeat == 0) pictures = swept->pictures;
      summarise(curve);
      state.keep(curve, *swept);
    }
    figure.columns.push_back({.label = sweep.points[i].label, .note = "", .images = std::move(pictures)});
    if (talk) print_point(curve.points.back(), alone * seconds_per_evaluation(curve).back());
  }
  if (talk) print_frontier(curve);
  for (size_t i = 0; i < curve.points.size(); ++i)
    figure.columns[i].note = format("%.3g s", curve.points[i].seconds_per_image);

  auto text = png_text(first, sweep.infos, -1);
  text.insert(text.begin(), {"Title", title});
  state.finish(curve, title, draw(figure), text);
  const std::vector<std::string> outputs = SweepState::files_of(sweep.output, sweep.metrics);
  if (a.json) {
    auto json = nlohmann::ordered_json::parse(to_json(curve));
    json["outputs"] = outputs;
    std::printf("%s\n", json_text(json).c_str());
  } else if (talk) {
    for (const std::string& path : outputs) std::printf("wrote %s\n", path.c_str());
  }
  return kDone;
}

}  // namespace

Command add_sweep_command(CLI::App& program) {
  auto* command = program.add_subcommand(
      "sweep",
      "Sample the same images along many trajectories: a labelled picture, times, metrics, the curve");
  auto a = std::make_shared<SweepArguments>();
  const std::string trajectory = "Trajectory";
  add_common_options(*command, *a);
  command->add_option("--ratios", a->ratios, "Shares given to the first of two models. Default: 0,0.1,...,1")
      ->delimiter(',')
      ->group(trajectory);
  command
      ->add_option("--grid", a->grid,
                   "Parts of the trajectory that the models share in every way there is. Default: 10 for two"
                   " models, 5 for more")
      ->group(trajectory);
  command
      ->add_flag("--orders", a->orders,
                 "Compare orders of two models: small first, large first, in turns, small ever less often")
      ->group(trajectory);
  command->add_option("--ratio", a->ratio, "The share of the first model in --orders. Default: 0.4")
      ->group(trajectory);
  command
      ->add_option("--step-counts", a->step_counts,
                   "Also the last model alone in so many steps each: 10,20,50")
      ->delimiter(',')
      ->group(trajectory);
  add_measure_options(*command, *a);
  command
      ->add_option("--repeats", a->repeats,
                   "Runs of every trajectory, each with the next seed: the curve's error bars")
      ->capture_default_str()
      ->group("Metrics");
  command->add_option("--rows", a->rows, "Images shown. Default: all up to 10, else 8")->group("Images");
  command->add_flag("--resume", a->resume, "Do not sample again what NAME.json already holds")->group("Run");
  command->get_option("--output")
      ->description(
          "NAME.png, the picture; beside it come NAME.json, NAME.csv and, of every metric, NAME-METRIC.svg "
          "and .png."
          " Default: sweep.png");
  return [a] { return sweep_command(*a); };
}

}  // namespace tstitch
