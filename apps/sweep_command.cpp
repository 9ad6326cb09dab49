#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/arguments.h"
#include "apps/commands.h"
#include "apps/interrupt.h"
#include "apps/printing.h"
#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/base/numbers.h"
#include "tstitch/engine/report.h"
#include "tstitch/io/json.h"
#include "tstitch/tune/sweep.h"

namespace tstitch {
namespace {

struct SweepArguments : Arguments, MeasureOptions {
  SweepOptions sweep;
  bool resume = false;
};

std::vector<Metric> metrics_of(const SweepArguments& a) {
  if (!a.metrics.empty()) return parse_metrics(a.metrics);
  return a.reference.empty() ? std::vector<Metric>() : std::vector{Metric::fid};
}

// The name of the picture; the other files' names follow from it.
std::string output_of(const SweepArguments& a, const Asked& asked, const Sweep& sweep) {
  check_decodable(asked.models.back(), asked.options.vae);
  const std::string output = a.output.empty() ? "sweep.png" : a.output;
  check(output.ends_with(".png"), ErrorKind::usage, "--output is \"", printable(output),
        "\", expected a name that ends in .png");
  CommandFiles files = inputs_of(asked);
  files.reads("--reference", a.reference, {".png"});
  files.reads("--features", a.features);
  for (const std::string& path : SweepState::files_of(output, sweep.metrics)) files.writes("--output", path);
  files.works_in("--output", SweepState::parts_of(output));
  return output;
}

int width_of(const ModelInfo& info) { return std::max(10, static_cast<int>(info.name.size())); }

void print_heading(const Sweep& sweep) {
  std::printf("%-18s", "point");
  for (const ModelInfo& info : sweep.infos) std::printf("  %*s", width_of(info), info.name.c_str());
  std::printf("  %10s  %8s", "s/image", "speed-up");
  for (const Metric metric : sweep.metrics) std::printf("  %10s", std::string(name_of(metric)).c_str());
  std::printf("\n");
}

// alone: seconds per image of the last model alone, 0 while they are not known.
void print_point(const CurvePoint& point, const std::vector<ModelInfo>& models, double alone) {
  std::printf("%-18s", point.label.c_str());
  for (size_t i = 0; i < models.size(); ++i)
    std::printf("  %*s", width_of(models[i]), concat(point.evaluations[i], "x").c_str());
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

class Printing final : public SweepObserver {
 public:
  Printing(const SweepArguments& a, const std::vector<ModelInfo>& models) : a_(a), models_(models) {}
  std::unique_ptr<RunObserver> observe(const RunSpec& spec) override {
    constexpr int64_t kMany = 64;
    return progress_of(a_, models_, spec.images() > kMany ? Show::images : Show::bar);
  }
  void finished(const CurvePoint& point, double alone) override {
    if (!a_.json && !a_.quiet) print_point(point, models_, alone);
  }

 private:
  const SweepArguments& a_;
  const std::vector<ModelInfo>& models_;
};

int sweep_command(const SweepArguments& a) {
  check_only_process("sweep");
  const Asked asked = read_asked(a.said);
  const std::vector<ModelInfo>& infos = asked.models;
  check(a.sweep.orders || !a.said.contains("ratio"), ErrorKind::usage,
        "--ratio is the share in --orders, which was not given: use --ratios");
  check_effective(a.said, make_run_spec(infos, asked.options), infos);
  const Sweep sweep = make_sweep(infos, asked.options, a.sweep, metrics_of(a));
  check(!sweep.metrics.empty() || a.features.empty(), ErrorKind::usage,
        "--features is for --metrics, which were not given");
  const RunSpec& first = sweep.specs[0];
  const std::string output = output_of(a, asked, sweep);
  print_what_is_left_out(a, infos);
  Engine engine(infos, asked.options.backend, asked.options.vae);
  const bool talk = !a.json && !a.quiet;
  if (talk)
    std::printf("%s, %lld images\n%s\n", engine.description().c_str(), static_cast<long long>(first.images()),
                sweep.title().c_str());
  const std::vector<std::string> fingerprints =
      fingerprints_of(sweep, asked.options.vae, engine.backend(), end_if_interrupted);
  SweepState state(output, a.resume, describe_measure(a, sweep.metrics, sweep.picture(), end_if_interrupted),
                   describe_timing(sweep, engine.backend()), sweep.metrics, fingerprints);
  std::optional<SweepResult> result;
  try {
    const Measure measure = load_measure(
        a, sweep.metrics,
        {.picture = sweep.picture(), .images = first.images(), .of_text = !first.options.prompts.empty()},
        end_if_interrupted);
    if (!engine.load(sweep.specs, true, interrupted)) return report_interrupted(state.kept());
    engine.warm_up(first);
    if (talk) print_heading(sweep);
    Printing printing(a, infos);
    result = run_sweep(engine, sweep, measure, fingerprints, state, printing);
    if (!result) return report_interrupted(state.kept());
    auto text = png_text(first, infos, -1);
    text.insert(text.begin(), {"Title", sweep.title()});
    std::erase_if(text, [](const auto& one) { return one.first == kOptionsKeyword; });  // it is of many runs
    state.finish(result->curve, sweep.title(), draw(result->figure), text);
  } catch (const Interrupted&) {
    return report_interrupted(state.kept());
  } catch (const Error& error) {
    add_what_is_kept(error, state.kept());
  }
  if (talk) print_frontier(result->curve);
  const std::vector<std::string> outputs = SweepState::files_of(output, sweep.metrics);
  if (a.json) {
    auto json = nlohmann::ordered_json::parse(to_json(result->curve));
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
  add_run_options(*command, *a,
                  {"fractions", "switch_step", "switch", "switch_threshold", "num_fid_samples"});
  command->get_option("--ratio")->description("The share of the first model in --orders. Default: 0.4");
  command
      ->add_option(
          "--ratios",
          [a](const CLI::results_t& texts) {
            a->sweep.ratios.clear();
            for (const std::string& text : texts) a->sweep.ratios.push_back(read_share("--ratios", text));
            return true;
          },
          "Shares given to the first of two models, 0 ... 1 or in percent. Default: 0,0.1,...,1")
      ->type_name("")
      ->expected(1, CLI::detail::expected_max_vector_size)
      ->delimiter(',')
      ->group(trajectory);
  command
      ->add_option("--grid", a->sweep.grid,
                   "Parts of the trajectory that the models share in every way there is. Default: 10 for two"
                   " models, 5 for more")
      ->group(trajectory);
  command
      ->add_flag("--orders", a->sweep.orders,
                 "Compare orders of two models: small first, large first, in turns, small ever less often")
      ->group(trajectory);
  command
      ->add_option("--step-counts", a->sweep.step_counts,
                   "Also the last model alone in so many steps each: 10,20,50")
      ->delimiter(',')
      ->group(trajectory);
  add_measure_options(*command, *a);
  command
      ->add_option("--repeats", a->sweep.repeats,
                   "Runs of every trajectory, each with the next seed: the curve's error bars")
      ->capture_default_str()
      ->group("Metrics");
  command->add_option("--rows", a->sweep.rows, "Images shown. Default: all up to 10, else 8")
      ->group("Images");
  command
      ->add_flag("--resume", a->resume,
                 "Go on with an unfinished sweep of this name, or add to a finished one")
      ->group("Run");
  command->get_option("--output")
      ->description(
          "NAME.png, the picture; beside it come NAME.json, NAME.csv and, of every metric, NAME-METRIC.svg "
          "and .png."
          " Default: sweep.png");
  return [a] { return sweep_command(*a); };
}

}  // namespace tstitch
