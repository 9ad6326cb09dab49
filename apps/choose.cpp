#include "apps/choose.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "apps/help.h"
#include "tstitch/base/error.h"
#include "tstitch/base/numbers.h"

namespace tstitch {
namespace {

// "2%" or "0.02", above 0.
double parse_loss(const std::string& option, const std::string& text) {
  const double loss = read_fraction(option, text);
  check(std::isfinite(loss) && loss > 0, ErrorKind::usage, option, " is ", printable(text),
        ", expected a share above 0");
  return loss;
}

// "3s", "500ms", "2m" or a number of seconds.
double parse_seconds(const std::string& option, const std::string& text) {
  constexpr const char* kExpected = "a time like 3s, 500ms or 2m";
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  check(end != text.c_str() && std::isfinite(value) && value > 0, ErrorKind::usage, option, " is \"",
        printable(text), "\", expected ", kExpected);
  const std::string unit = end;
  for (const auto& [name, seconds] :
       {std::pair{"", 1.0}, {"s", 1.0}, {"ms", 1e-3}, {"m", 60.0}, {"h", 3600.0}})
    if (unit == name) return value * seconds;
  fail(ErrorKind::usage, option, " is \"", printable(text), "\", expected ", kExpected);
}

}  // namespace

void add_choose_options(CLI::App& command, ChooseArguments& a) {
  const std::string group = more("Plan");
  command
      .add_option(
          "--budget", a.budget,
          "The best trajectory that samples and decodes all images in this time: 3s, 500ms, 2m. Loading and"
          " timing the models come before")
      ->group("Plan");
  command.add_option("--curve", a.curve, "A curve that `tstitch sweep --metrics` measured, NAME.json")
      ->group(group);
  command.add_option("--metric", a.metric, "The metric of the curve that counts")
      ->capture_default_str()
      ->group(group);
  command
      .add_option("--probes", a.probes,
                  "Without a curve: images on which the models' predictions are compared")
      ->capture_default_str()
      ->check(CLI::Range(1, 4096))
      ->group(group);
  command
      .add_flag("--any-order", a.any_order,
                "Without a curve: models may take turns in any order, not only hand over to the next")
      ->group(group);
}

void check_choose_options(const CLI::App& command, bool has_goal, bool has_curve) {
  const auto said = [&](const char* option) { return command.get_option(option)->count() > 0; };
  for (const char* option : {"--curve", "--metric", "--probes", "--any-order"})
    check(has_goal || !said(option), ErrorKind::usage, option, " is for --budget, which was not given");
  check(has_curve || !said("--metric"), ErrorKind::usage, "--metric is of a --curve, which was not given");
  for (const char* option : {"--probes", "--any-order"})
    check(!has_curve || !said(option), ErrorKind::usage, option,
          " has no effect here: with a --curve nothing is estimated");
}

Goal goal_of(const ChooseArguments& a, const Said& said) {
  const int goals = !a.budget.empty() + a.speedup.has_value() + !a.max_metric_loss.empty();
  check(goals == 1, ErrorKind::usage, "expected one goal: --budget, --speedup or --max-metric-loss, found ",
        goals);
  check(!a.speedup || (std::isfinite(*a.speedup) && *a.speedup > 0), ErrorKind::usage, "--speedup is ",
        a.speedup.value_or(0), ", expected a number above 0");
  Goal goal{.budget = {},
            .speedup = a.speedup,
            .max_metric_loss = {},
            .curve_file = a.curve,
            .curve = {},
            .metric = parse_metrics(a.metric).at(0),
            .probes = a.probes,
            .any_order = a.any_order,
            .steps_said = said.contains("steps") || said.contains("timesteps"),
            .sampler_said = said.contains("sampler")};
  if (!a.budget.empty()) goal.budget = parse_seconds("--budget", a.budget);
  if (!a.max_metric_loss.empty()) goal.max_metric_loss = parse_loss("--max-metric-loss", a.max_metric_loss);
  if (!a.curve.empty()) goal.curve = read_curve(a.curve);
  check(!goal.max_metric_loss || goal.curve, ErrorKind::usage,
        "--max-metric-loss needs metrics: name a curve of `tstitch sweep --metrics fid` with --curve");
  return goal;
}

void print(const ChosenTrajectory& p) {
  std::printf("%s, %d steps: %s\n", p.sampler.c_str(), p.steps,
              describe(parse_assignment(p.assignment, p.steps), p.models).c_str());
  std::printf("time: %.3g s +- %.2g", p.seconds, p.seconds_spread);
  if (p.speedup) std::printf(", %.2f times as fast as %s alone", *p.speedup, p.models.back().c_str());
  std::printf("\n");
  if (!p.metric) {
    std::printf(
        "quality: the final latents change by %.3g +- %.2g (root mean square, estimated;"
        " %s alone: %.3g). A curve of `tstitch sweep --metrics` says more\n",
        p.change, p.change_spread, p.models[0].c_str(), p.largest_change);
  } else {
    std::printf("quality: %s %.5g", p.metric->c_str(), p.value);
    if (p.deviation)
      std::printf(" +- %.2g over seeds", *p.deviation);
    else
      std::printf(", of one seed: sweep with --repeats says how sure that is");
    std::printf("%s\n", p.measured ? "" : "; between two measured points");
  }
}

}  // namespace tstitch
