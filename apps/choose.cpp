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

// "0.3", or "20%" of the worst form's.
MostDivergence parse_divergence(const std::string& option, const std::string& text) {
  const double value = read_fraction(option, text);
  check(std::isfinite(value) && value >= 0, ErrorKind::usage, option, " is ", printable(text),
        ", expected 0 or more");
  return {.value = value, .is_share = text.ends_with('%')};
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
      .add_option("--divergence", a.divergence,
                  "What `tstitch analyze divergence` measured of these models and forms, NAME.json: the stages"
                  " that diverge least from the last model, in any order")
      ->group(group);
  command
      .add_option("--probes", a.probes,
                  "Without a curve and a divergence: images on which the models' predictions are compared")
      ->capture_default_str()
      ->check(CLI::Range(1, 4096))
      ->group(group);
  command
      .add_flag("--any-order", a.any_order,
                "Without a curve and a divergence: models may take turns in any order, not only hand over to"
                " the next")
      ->group(group);
  command
      .add_option("--switch-price", a.switch_price,
                  "With --divergence or --any-order: what a change of stages must gain, as a share of the"
                  " divergence of the form that diverges most")
      ->capture_default_str()
      ->group(group);
}

void check_choose_options(const CLI::App& command, bool has_goal, const ChooseArguments& a) {
  const auto said = [&](const char* option) { return command.get_option(option)->count() > 0; };
  for (const char* option :
       {"--curve", "--metric", "--divergence", "--probes", "--any-order", "--switch-price"})
    check(has_goal || !said(option), ErrorKind::usage, option, " is for --budget, which was not given");
  check(a.curve.empty() || a.divergence.empty(), ErrorKind::usage,
        "--curve and --divergence exclude each other");
  check(!a.curve.empty() || !said("--metric"), ErrorKind::usage,
        "--metric is of a --curve, which was not given");
  for (const char* option : {"--probes", "--any-order", "--switch-price"})
    check(a.curve.empty() || !said(option), ErrorKind::usage, option,
          " has no effect here: with a --curve nothing is estimated");
  for (const char* option : {"--probes", "--any-order"})
    check(a.divergence.empty() || !said(option), ErrorKind::usage, option,
          " has no effect here: a --divergence has been measured, and is for any order");
  check(!a.divergence.empty() || a.any_order || !said("--switch-price"), ErrorKind::usage,
        "--switch-price is for --divergence or --any-order, and neither was given");
}

Goal goal_of(const ChooseArguments& a, const Said& said) {
  const int goals = !a.budget.empty() + a.speedup.has_value() + !a.max_metric_loss.empty() +
                    !a.max_divergence.empty();
  check(goals == 1, ErrorKind::usage,
        "expected one goal: --budget, --speedup, --max-metric-loss or --max-divergence, found ", goals);
  check(!a.speedup || (std::isfinite(*a.speedup) && *a.speedup > 0), ErrorKind::usage, "--speedup is ",
        a.speedup.value_or(0), ", expected a number above 0");
  Goal goal{.budget = {},
            .speedup = a.speedup,
            .max_metric_loss = {},
            .max_divergence = {},
            .curve_file = a.curve,
            .curve = {},
            .metric = parse_metrics(a.metric).at(0),
            .divergence_file = a.divergence,
            .divergence = {},
            .probes = a.probes,
            .any_order = a.any_order,
            .switch_price = read_fraction("--switch-price", a.switch_price),
            .steps_said = said.contains("steps") || said.contains("timesteps"),
            .sampler_said = said.contains("sampler")};
  if (!a.budget.empty()) goal.budget = parse_seconds("--budget", a.budget);
  if (!a.max_metric_loss.empty()) goal.max_metric_loss = parse_loss("--max-metric-loss", a.max_metric_loss);
  if (!a.max_divergence.empty()) goal.max_divergence = parse_divergence("--max-divergence", a.max_divergence);
  check(std::isfinite(goal.switch_price) && goal.switch_price >= 0, ErrorKind::usage, "--switch-price is ",
        printable(a.switch_price), ", expected 0 or more");
  if (!a.curve.empty()) goal.curve = read_curve(a.curve);
  if (!a.divergence.empty()) goal.divergence = read_measured_divergence(a.divergence);
  check(!goal.max_divergence || !goal.curve, ErrorKind::usage,
        "--max-divergence is not of a --curve, whose points have metrics: expected --max-metric-loss");
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
    std::printf("quality: divergence %.3g", p.divergence);
    if (p.divergence_spread > 0) std::printf(" +- %.2g", p.divergence_spread);
    std::printf(
        ", %s alone: %.3g; the final latents change by about %.3g (root mean square, estimated). A curve of"
        " `tstitch sweep --metrics` says more\n",
        p.models[0].c_str(), p.largest_divergence, p.change());
  } else {
    std::printf("quality: %s %.5g", p.metric->c_str(), p.value);
    if (p.deviation)
      std::printf(" +- %.2g over seeds", *p.deviation);
    else
      std::printf(", of one seed: sweep with --repeats says how sure that is");
    std::printf("%s\n", p.measured ? "" : "; between two measured points");
  }
}

void print_alternatives(const ChosenTrajectory& p) {
  if (p.alternatives.empty()) return;
  std::printf("what else there is:\n%10s  %8s  %10s  stages\n", "seconds", "speed-up", "divergence");
  for (const Alternative& one : p.alternatives)
    std::printf("%10.3g  %7.2fx  %10.3g  %s\n", one.seconds, one.speedup, one.divergence,
                describe_served(parse_assignment(one.assignment, p.steps), p.models).c_str());
}

}  // namespace tstitch
