#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/arguments.h"
#include "apps/commands.h"
#include "apps/output.h"
#include "apps/session.h"
#include "tstitch/base/error.h"
#include "tstitch/pipeline/class_names.h"
#include "tstitch/pipeline/figure.h"
#include "tstitch/pipeline/images.h"
#include "tstitch/pipeline/report.h"

namespace tstitch {
namespace {

struct SweepArguments : Arguments {
  std::vector<double> ratios = {0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1};
};

std::string format(const char* form, double value) {
  char text[64];
  std::snprintf(text, sizeof text, form, value);
  return text;
}

// All plans are made before anything is loaded, so that a bad ratio costs nothing.
std::vector<Plan> make_plans(const SweepArguments& a, const std::vector<ModelInfo>& infos) {
  check(infos.size() == 2, ErrorKind::usage, "sweep shares a trajectory between two models, but there ",
        infos.size() == 1 ? "is 1" : concat("are ", infos.size()));
  check(!a.ratios.empty(), ErrorKind::usage, "--ratios is empty");
  SampleOptions options = sample_options(a, infos);
  std::vector<Plan> plans;
  for (const double ratio : a.ratios) {
    check(ratio >= 0 && ratio <= 1, ErrorKind::usage, "--ratios holds ", ratio, ", expected 0 ... 1");
    options.fractions = {ratio, 1 - ratio};
    plans.push_back(make_plan(infos, options));
  }
  return plans;
}

// What of a prompt fits beside its row; the figure's font has ASCII only.
std::string shortened(const std::string& prompt) {
  constexpr size_t kShown = 24;
  return printable(prompt.substr(0, kShown)) + (prompt.size() > kShown ? "..." : "");
}

std::vector<std::string> row_labels(const Plan& plan, const ModelInfo& model) {
  const ClassNames names(model);
  std::vector<std::string> labels;
  for (const int64_t c : plan.classes)
    labels.push_back(plan.prompts.empty() ? names.usual(c) : shortened(plan.prompts[static_cast<size_t>(c)]));
  return labels;
}

int sweep_command(const SweepArguments& a) {
  const std::vector<ModelInfo> infos = read_models(a);
  const std::vector<Plan> plans = make_plans(a, infos);
  check_decodable(a, infos.back());
  const std::string output = a.output.empty() ? "sweep.png" : a.output;
  check(output.ends_with(".png"), ErrorKind::usage, "--output is \"", printable(output),
        "\", expected a name that ends in .png");
  check_output_file(output);

  Session session(a, infos);
  const Plan& first = plans[0];
  const std::string title =
      concat(infos[0].name, " then ", infos[1].name, ": ", first.sampler, ", ", first.trajectory.size(),
             " steps, cfg ", first.cfg_scale, ", seed ", first.seed);
  const bool talk = !a.json && !a.quiet;
  if (talk)
    std::printf("%s, %lld images\n%s\n", session.backend().description().c_str(),
                static_cast<long long>(first.images()), title.c_str());
  if (session.load(plans, true) == kInterrupted) return report_interrupted();
  session.warm_up(first);

  Figure figure{.title = title, .row_labels = row_labels(first, infos.back()), .columns = {}};
  nlohmann::ordered_json points = nlohmann::ordered_json::array();
  if (talk)
    std::printf("%8s  %-10s  %-10s  %10s  %8s\n", "ratio", infos[0].name.c_str(), infos[1].name.c_str(),
                "time", "speed-up");
  double unstitched = 0;  // seconds of the first ratio
  for (size_t i = 0; i < plans.size(); ++i) {
    RunResult result = session.run(plans[i], Show::bar);
    if (result.cancelled) return report_interrupted();
    if (i == 0) unstitched = result.seconds;
    figure.columns.push_back({.label = format("%g", a.ratios[i]),
                              .note = format("%.2f s", result.seconds),
                              .images = decode_pixels(session.pictures(result))});
    points.push_back(nlohmann::ordered_json::parse(
        json_report(plans[i], session.models(), result, session.backend().description(), {})));
    points.back()["ratio"] = a.ratios[i];
    if (talk) {
      std::printf("%8g  %4d steps  %4d steps  %8.2f s  %7.2fx\n", a.ratios[i],
                  plans[i].trajectory.steps_of(0), plans[i].trajectory.steps_of(1), result.seconds,
                  unstitched / result.seconds);
      std::fflush(stdout);
    }
  }

  auto text = png_text(first, infos, -1);
  text.insert(text.begin(), {"Title", title});
  write_png(output, draw(figure), text);
  if (a.json)
    std::printf("%s\n", nlohmann::ordered_json{{"points", points}, {"outputs", {output}}}.dump(2).c_str());
  else if (talk)
    std::printf("wrote %s\n", output.c_str());
  return kDone;
}

}  // namespace

Command add_sweep_command(CLI::App& program) {
  auto* command =
      program.add_subcommand("sweep", "Sample the same images at many ratios, in one labelled picture");
  auto arguments = std::make_shared<SweepArguments>();
  add_common_options(*command, *arguments);
  command->add_option("--ratios", arguments->ratios, "Shares given to the small model. Default: 0,0.1,...,1")
      ->delimiter(',')
      ->group("Trajectory");
  command->get_option("--output")->description("A .png file. Default: sweep.png");
  return [arguments] { return sweep_command(*arguments); };
}

}  // namespace tstitch
