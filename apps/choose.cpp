#include "apps/choose.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "apps/interrupt.h"
#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/io/json.h"
#include "tstitch/output/run_manifest.h"

namespace tstitch {
namespace {

constexpr const char* kFormat = "tstitch-plan-1";

// A positive number and what stands behind it.
std::pair<double, std::string> number_and_unit(const std::string& option, const std::string& text,
                                               const char* expected) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  check(end != text.c_str() && std::isfinite(value) && value > 0, ErrorKind::usage, option, " is \"",
        printable(text), "\", expected ", expected);
  return {value, end};
}

double parse_share(const std::string& option, const std::string& text) {
  constexpr const char* kExpected = "a share like 2% or 0.02";
  const auto [value, unit] = number_and_unit(option, text, kExpected);
  check(unit.empty() || unit == "%", ErrorKind::usage, option, " is \"", printable(text), "\", expected ",
        kExpected);
  return unit.empty() ? value : value / 100;
}

// What one evaluation of each model takes in this run, and what comes on top.
struct Costs {
  std::vector<Session::Times> evaluation;  // of a batch
  double batches, decoding;                // decoding: of all images, seconds

  double seconds(const std::vector<int64_t>& evaluations) const {
    double all = decoding;
    for (size_t m = 0; m < evaluation.size(); ++m)
      all += static_cast<double>(evaluations[m]) * evaluation[m].mean * batches;
    return all;
  }
  // The times of a model go up and down together, those of two models by themselves.
  double spread(const std::vector<int64_t>& evaluations) const {
    double squares = 0;
    for (size_t m = 0; m < evaluation.size(); ++m)
      squares += std::pow(static_cast<double>(evaluations[m]) * evaluation[m].spread * batches, 2);
    return std::sqrt(squares);
  }
};

std::vector<int64_t> evaluations_of(Session& session, const RunSpec& spec, size_t models) {
  std::vector<int64_t> counts;
  for (size_t m = 0; m < models; ++m)
    counts.push_back(evaluations(session.backend(), spec, static_cast<int>(m)));
  return counts;
}

// Seconds that the whole run may take.
double time_limit(const ChooseArguments& a, double alone) {
  return a.speedup ? alone / *a.speedup : parse_seconds("--budget", a.budget);
}

class Interruptible final : public RunObserver {
 public:
  bool cancelled() override { return interrupted(); }
};

// The step losses that two halves of a few images give.
std::optional<std::array<std::vector<std::vector<double>>, 2>> probe(Session& session, const RunSpec& spec,
                                                                     int64_t probes) {
  std::array<std::vector<std::vector<double>>, 2> losses;
  const int64_t half = std::max<int64_t>(1, std::min(probes, spec.images()) / 2);
  for (int64_t side = 0; side < 2; ++side) {
    RunSpec few = spec;
    few.given = {};
    few.seed = spec.seed + static_cast<uint64_t>(side);  // other noise, also where there is one image only
    const int64_t first = std::min(side * half, spec.images() - half);
    few.subjects = {spec.subjects.begin() + first, spec.subjects.begin() + first + half};
    Interruptible observer;
    const auto differences =
        prediction_similarity(session.backend(), session.models(), few, observer, session.inputs());
    if (differences.empty()) return {};
    losses[static_cast<size_t>(side)] =
        estimated_losses(spec.trajectory, session.models().size(), differences);
  }
  return losses;
}

std::string describe(const std::vector<int>& assignment, const std::vector<std::string>& models) {
  return Trajectory(std::vector<NoiseLevel>(assignment.size() + 1), assignment).describe(models);
}

double loss_of(const std::vector<std::vector<double>>& losses, const std::vector<int>& assignment) {
  double sum = 0;
  for (size_t s = 0; s < assignment.size(); ++s) sum += losses[s][static_cast<size_t>(assignment[s])];
  return sum;
}

std::optional<ChosenTrajectory> choose_by_estimate(Session& session, const std::vector<ModelInfo>& infos,
                                                   const SampleOptions& options, const RunSpec& spec,
                                                   const Costs& costs, const ChooseArguments& a) {
  check(a.max_metric_loss.empty(), ErrorKind::usage,
        "--max-metric-loss needs metrics: name a curve of `tstitch sweep --metrics fid` with --curve");
  const size_t models = infos.size();
  const auto losses = probe(session, spec, a.probes);
  if (!losses) return {};
  StepCosts steps;
  for (int s = 0; s < spec.trajectory.size(); ++s) {
    steps.seconds.emplace_back();
    steps.loss.emplace_back();
    for (size_t m = 0; m < models; ++m) {
      // The evaluations of a step do not depend on who serves it.
      const RunSpec alone = served_by(spec, static_cast<int>(m));
      const auto levels =
          make_solver(session.backend(), spec.sampler, spec.solver)->evaluation_levels(alone.trajectory[s]);
      steps.seconds.back().push_back(static_cast<double>(levels.size()) * costs.evaluation[m].mean *
                                     costs.batches);
      const auto step = static_cast<size_t>(s);
      steps.loss.back().push_back(((*losses)[0][step][m] + (*losses)[1][step][m]) / 2);
    }
  }
  const std::vector<Assigned> best = best_assignments(steps, !a.any_order);
  const double alone =
      costs.seconds(evaluations_of(session, served_by(spec, static_cast<int>(models) - 1), models));
  const double limit = time_limit(a, alone);
  const auto beyond =
      std::ranges::find_if(best, [&](const Assigned& one) { return one.seconds + costs.decoding > limit; });
  check(beyond != best.begin(), ErrorKind::usage, "no trajectory is that fast: the fastest, ",
        describe(best[0].assignment, names_of(infos)), ", takes ", best[0].seconds + costs.decoding,
        " s, and ", limit, " s were asked for");
  const Assigned& chosen = *(beyond - 1);

  ChosenTrajectory choice;
  choice.steps_option = options.steps;
  choice.sampler = spec.sampler;
  choice.steps = spec.trajectory.size();
  choice.assignment = format_assignment(chosen.assignment);
  choice.levels = hash_of_levels(spec.trajectory);
  choice.eta = spec.solver.eta;
  choice.cfg_scale = spec.cfg_scale;
  choice.seconds = chosen.seconds + costs.decoding;
  choice.speedup = alone / choice.seconds;
  choice.change = chosen.loss;
  choice.change_spread =
      std::abs(loss_of((*losses)[0], chosen.assignment) - loss_of((*losses)[1], chosen.assignment)) / 2;
  choice.largest_change = loss_of(steps.loss, std::vector<int>(chosen.assignment.size(), 0));
  return choice;
}

std::optional<ChosenTrajectory> choose_by_curve(const std::vector<ModelInfo>& infos, const RunSpec& spec,
                                                const Costs& costs, const ChooseArguments& a) {
  const Curve curve = read_curve(a.curve);
  const std::vector<std::string> names = names_of(infos);
  check(curve.models == names, ErrorKind::usage, a.curve, ": a curve of other models than these");
  check(curve.cfg_scale == spec.cfg_scale, ErrorKind::usage, a.curve, ": measured with --cfg-scale ",
        curve.cfg_scale, ", but this run has ", spec.cfg_scale);
  const Metric metric = parse_metrics(a.metric).at(0);
  std::vector<Candidate> all = candidates(curve, metric);
  check(!all.empty(), ErrorKind::usage, a.curve, ": no point of it has the metric ", name_of(metric));

  const double sign = is_better_lower(metric) ? 1 : -1;
  const auto seconds = [&](const Candidate& c) { return costs.seconds(c.evaluations); };
  // The last model alone, at its most steps.
  const Candidate* alone = nullptr;
  for (const Candidate& c : all)
    if (std::all_of(c.evaluations.begin(), c.evaluations.end() - 1, [](int64_t n) { return n == 0; }) &&
        (!alone || c.evaluations.back() > alone->evaluations.back()))
      alone = &c;
  check(alone || !a.budget.empty(), ErrorKind::usage, a.curve, ": no point of ", names.back(),
        " alone to compare with");

  const Candidate* chosen = nullptr;
  if (!a.max_metric_loss.empty()) {
    const double bound =
        alone->metric + sign * parse_share("--max-metric-loss", a.max_metric_loss) * std::abs(alone->metric);
    for (const Candidate& c : all)
      if (sign * (c.metric - bound) <= 0 && (!chosen || seconds(c) < seconds(*chosen))) chosen = &c;
  } else {
    const double limit = time_limit(a, alone ? seconds(*alone) : 0);
    for (const Candidate& c : all)
      if (seconds(c) <= limit && (!chosen || sign * (c.metric - chosen->metric) < 0)) chosen = &c;
    const auto fastest = std::ranges::min_element(all, {}, seconds);
    check(chosen != nullptr, ErrorKind::usage, "no point of ", a.curve, " is that fast: the fastest takes ",
          seconds(*fastest), " s, and ", limit, " s were asked for");
  }

  ChosenTrajectory choice;
  choice.sampler = chosen->sampler;
  choice.steps_option = chosen->steps_option;
  choice.steps = chosen->steps;
  choice.assignment = chosen->assignment;
  choice.levels = chosen->levels;
  choice.eta = chosen->eta;
  choice.cfg_scale = spec.cfg_scale;
  choice.seconds = seconds(*chosen);
  if (alone) choice.speedup = seconds(*alone) / choice.seconds;
  choice.metric = std::string(name_of(metric));
  choice.value = chosen->metric;
  choice.deviation = chosen->deviation;
  choice.measured = chosen->measured;
  return choice;
}

std::vector<int> assignment_of(const ChosenTrajectory& choice, const std::string& path) {
  try {
    return parse_assignment(choice.assignment, choice.steps);
  } catch (const Error& error) {
    fail(ErrorKind::input, path, ": ", error.what());
  }
}

}  // namespace

void add_choose_options(CLI::App& command, ChooseArguments& a) {
  const std::string group = "Plan";
  command
      .add_option(
          "--budget", a.budget,
          "The best trajectory that samples and decodes all images in this time: 3s, 500ms, 2m. Loading and"
          " timing the models come before")
      ->group(group);
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

double parse_seconds(const std::string& option, const std::string& text) {
  constexpr const char* kExpected = "a time like 3s, 500ms or 2m";
  const auto [value, unit] = number_and_unit(option, text, kExpected);
  for (const auto& [name, seconds] :
       {std::pair{"", 1.0}, {"s", 1.0}, {"ms", 1e-3}, {"m", 60.0}, {"h", 3600.0}})
    if (unit == name) return value * seconds;
  fail(ErrorKind::usage, option, " is \"", printable(text), "\", expected ", kExpected);
}

void check_goal(const ChooseArguments& a) {
  const int goals = !a.budget.empty() + a.speedup.has_value() + !a.max_metric_loss.empty();
  check(goals == 1, ErrorKind::usage, "expected one goal: --budget, --speedup or --max-metric-loss, found ",
        goals);
  if (!a.budget.empty()) parse_seconds("--budget", a.budget);
  if (!a.max_metric_loss.empty()) parse_share("--max-metric-loss", a.max_metric_loss);
  check(!a.speedup || (std::isfinite(*a.speedup) && *a.speedup > 0), ErrorKind::usage, "--speedup is ",
        a.speedup.value_or(0), ", expected a number above 0");
}

void check_no_shares(const SampleOptions& options, const std::string& what) {
  check(options.fractions.empty() && options.switch_steps.empty() && !options.adaptive, ErrorKind::usage,
        what,
        " says who serves which step: it excludes --ratio, --fractions, --switch-step and --switch auto");
}

RunSpec spec_of_all(const std::vector<ModelInfo>& infos, SampleOptions options) {
  options.fractions.assign(infos.size(), 1.0 / static_cast<double>(infos.size()));
  options.switch_steps.clear();
  options.assignment.clear();
  RunSpec spec = make_run_spec(infos, options);
  check(spec.trajectory.size() >= std::ssize(infos), ErrorKind::usage, "--steps ", spec.trajectory.size(),
        " are too few for ", infos.size(), " models");
  return spec;
}

std::optional<ChosenTrajectory> choose_trajectory(Session& session, const std::vector<ModelInfo>& infos,
                                                  const SampleOptions& options, const ChooseArguments& a) {
  check_goal(a);
  const RunSpec spec = spec_of_all(infos, options);
  const Costs costs{.evaluation = session.time_evaluations(spec),
                    .batches = batches_in(spec),
                    .decoding = static_cast<double>(spec.images()) * session.time_decoding(spec)};
  if (interrupted()) return {};
  auto choice = a.curve.empty() ? choose_by_estimate(session, infos, options, spec, costs, a)
                                : choose_by_curve(infos, spec, costs, a);
  if (!choice) return {};
  choice->models = names_of(infos);
  const RunSpec chosen = chosen_run(infos, options, *choice, a.steps_given);
  choice->seconds_spread = costs.spread(evaluations_of(session, chosen, infos.size()));
  return choice;
}

std::string to_json(const ChosenTrajectory& p) {
  nlohmann::ordered_json json = {
      {"format", kFormat},
      {"models", p.models},
      {"sampler", p.sampler},
      {"steps_option", p.steps_option},
      {"steps", p.steps},
      {"assignment", p.assignment},
      {"levels", p.levels},
      {"eta", p.eta},
      {"cfg_scale", p.cfg_scale},
      {"seconds", p.seconds},
      {"seconds_spread", p.seconds_spread},
  };
  if (p.speedup) json["speedup"] = *p.speedup;
  if (p.metric) {
    json["metric"] = {{"name", *p.metric}, {"value", p.value}, {"measured", p.measured}};
    if (p.deviation) json["metric"]["deviation"] = *p.deviation;
  } else {
    json["estimated_change"] = {
        {"rms", p.change}, {"spread", p.change_spread}, {"first_model_alone", p.largest_change}};
  }
  return json_text(json) + "\n";
}

ChosenTrajectory read_chosen_trajectory(const std::string& path) {
  const nlohmann::json json = parse_json_file(path);
  try {
    check(json.at("format") == kFormat, ErrorKind::input, path, ": \"format\" is not \"", kFormat, "\"");
    ChosenTrajectory choice;
    choice.models = json.at("models").get<std::vector<std::string>>();
    choice.sampler = json.at("sampler");
    choice.steps_option = json.at("steps_option");
    choice.steps = json.at("steps");
    choice.assignment = json.at("assignment");
    choice.levels = json.at("levels");
    choice.eta = json.at("eta");
    choice.cfg_scale = json.at("cfg_scale");
    check(is_solver(choice.sampler), ErrorKind::input, path, ": the sampler \"", printable(choice.sampler),
          "\" is not known");
    check(0 < choice.steps && choice.steps <= 1'000'000, ErrorKind::input, path, ": a plan of ", choice.steps,
          " steps");
    const std::vector<int> assignment = assignment_of(choice, path);
    check(std::ranges::max(assignment) < std::ssize(choice.models), ErrorKind::input, path,
          ": a step is for model ", std::ranges::max(assignment) + 1, ", but there are ",
          choice.models.size());
    return choice;
  } catch (const nlohmann::json::exception& e) {
    fail(ErrorKind::input, path, ": not a plan of `tstitch plan`: ", printable(e.what(), 200));
  }
}

RunSpec chosen_run(const std::vector<ModelInfo>& infos, SampleOptions options, const ChosenTrajectory& choice,
                   bool steps_given) {
  check(choice.models.empty() || choice.models == names_of(infos), ErrorKind::usage,
        "the plan is for other models: ", printable(join(choice.models)));
  check_no_shares(options, "a plan");
  check(options.sampler.empty() || options.sampler == choice.sampler, ErrorKind::usage,
        "the plan is for --sampler ", printable(choice.sampler), ", not ", printable(options.sampler));
  options.sampler = choice.sampler;
  check(!steps_given || options.steps == choice.steps_option, ErrorKind::usage, "the plan is for --steps ",
        printable(choice.steps_option), ", not ", printable(options.steps));
  options.steps = choice.steps_option;
  options.assignment = parse_assignment(choice.assignment, choice.steps);
  const RunSpec spec = make_run_spec(infos, options);
  check(hash_of_levels(spec.trajectory) == choice.levels, ErrorKind::usage,
        "the plan is for other noise levels: expected the --spacing, --scheduler and --strength it was made "
        "with");
  check(spec.cfg_scale == choice.cfg_scale, ErrorKind::usage, "the plan is for --cfg-scale ",
        choice.cfg_scale, ", not ", spec.cfg_scale);
  check(spec.solver.eta == choice.eta, ErrorKind::usage, "the plan is for --eta ", choice.eta, ", not ",
        spec.solver.eta);
  return spec;
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
