#include "tstitch/tune/choose_trajectory.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "tstitch/base/error.h"
#include "tstitch/engine/fields.h"
#include "tstitch/output/run_manifest.h"
#include "tstitch/tune/choose.h"
#include "tstitch/tune/equal_steps.h"

namespace tstitch {
namespace {

// What one evaluation of each model takes in this run, and what comes on top.
struct Costs {
  std::vector<EvaluationTime> evaluation;  // of a batch
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

std::vector<int64_t> evaluations_of(Engine& engine, const RunSpec& spec, size_t models) {
  std::vector<int64_t> counts;
  for (size_t m = 0; m < models; ++m)
    counts.push_back(evaluations(engine.backend(), spec, static_cast<int>(m)));
  return counts;
}

// Seconds that the whole run may take.
double time_limit(const Goal& goal, double alone) {
  return goal.speedup ? alone / *goal.speedup : *goal.budget;
}

class Cancellable final : public RunObserver {
 public:
  explicit Cancellable(const std::function<bool()>& cancelled) : cancelled_(cancelled) {}
  bool cancelled() override { return cancelled_(); }

 private:
  const std::function<bool()>& cancelled_;
};

// The step losses that two halves of a few images give.
std::optional<std::array<std::vector<std::vector<double>>, 2>> probe(Engine& engine, const RunSpec& spec,
                                                                     int64_t probes,
                                                                     const std::function<bool()>& cancelled) {
  std::array<std::vector<std::vector<double>>, 2> losses;
  const int64_t half = std::max<int64_t>(1, std::min(probes, spec.images()) / 2);
  for (int64_t side = 0; side < 2; ++side) {
    RunSpec few = spec;
    few.options.given = {};
    few.options.seed =
        seed_of_repeat(spec.options, side, half);  // other noise, also where there is one image only
    const int64_t first = std::min(side * half, spec.images() - half);
    few.subjects = {spec.subjects.begin() + first, spec.subjects.begin() + first + half};
    Cancellable observer(cancelled);
    const auto differences =
        prediction_similarity(engine.backend(), engine.models(), few, observer, engine.inputs());
    if (differences.empty()) return {};
    losses[static_cast<size_t>(side)] =
        estimated_losses(spec.trajectory, engine.models().size(), differences);
  }
  return losses;
}

double loss_of(const std::vector<std::vector<double>>& losses, const std::vector<int>& assignment) {
  double sum = 0;
  for (size_t s = 0; s < assignment.size(); ++s) sum += losses[s][static_cast<size_t>(assignment[s])];
  return sum;
}

std::optional<ChosenTrajectory> choose_by_estimate(Engine& engine, const SampleOptions& options,
                                                   const RunSpec& spec, const Costs& costs, const Goal& goal,
                                                   const std::function<bool()>& cancelled) {
  const size_t models = engine.infos().size();
  const auto losses = probe(engine, spec, goal.probes, cancelled);
  if (!losses) return {};
  StepCosts steps;
  for (int s = 0; s < spec.trajectory.size(); ++s) {
    steps.seconds.emplace_back();
    steps.loss.emplace_back();
    for (size_t m = 0; m < models; ++m) {
      // The evaluations of a step do not depend on who serves it.
      const RunSpec alone = served_by(spec, static_cast<int>(m));
      const auto levels = make_solver(engine.backend(), spec.options.sampler, spec.solver)
                              ->evaluation_levels(alone.trajectory[s]);
      steps.seconds.back().push_back(static_cast<double>(levels.size()) * costs.evaluation[m].mean *
                                     costs.batches);
      const auto step = static_cast<size_t>(s);
      steps.loss.back().push_back(((*losses)[0][step][m] + (*losses)[1][step][m]) / 2);
    }
  }
  const std::vector<Assigned> best = best_assignments(steps, !goal.any_order);
  const double alone =
      costs.seconds(evaluations_of(engine, served_by(spec, static_cast<int>(models) - 1), models));
  const double limit = time_limit(goal, alone);
  const auto beyond =
      std::ranges::find_if(best, [&](const Assigned& one) { return one.seconds + costs.decoding > limit; });
  check(beyond != best.begin(), ErrorKind::usage, "no trajectory is that fast: the fastest, ",
        describe(best[0].assignment, names_of(engine.infos())), ", takes ", best[0].seconds + costs.decoding,
        " s, and ", limit, " s were asked for");
  const Assigned& chosen = *(beyond - 1);

  ChosenTrajectory choice;
  choice.steps_option = options.steps;
  choice.sampler = spec.options.sampler;
  choice.steps = spec.trajectory.size();
  choice.assignment = format_assignment(chosen.assignment);
  choice.levels = hash_of_levels(spec.trajectory);
  choice.eta = spec.solver.eta;
  choice.cfg_scale = *spec.options.cfg_scale;
  choice.seconds = chosen.seconds + costs.decoding;
  choice.speedup = alone / choice.seconds;
  choice.change = chosen.loss;
  choice.change_spread =
      std::abs(loss_of((*losses)[0], chosen.assignment) - loss_of((*losses)[1], chosen.assignment)) / 2;
  choice.largest_change = loss_of(steps.loss, std::vector<int>(chosen.assignment.size(), 0));
  return choice;
}

std::optional<ChosenTrajectory> choose_by_curve(const std::vector<ModelInfo>& infos, const RunSpec& spec,
                                                const Costs& costs, const Goal& goal) {
  const Curve& curve = goal.curve.value();
  const std::vector<std::string> names = names_of(infos);
  check(curve.models == names, ErrorKind::usage, goal.curve_file, ": a curve of other models than these");
  check(curve.cfg_scale == *spec.options.cfg_scale, ErrorKind::usage, goal.curve_file,
        ": measured with --cfg-scale ", curve.cfg_scale, ", but this run has ", *spec.options.cfg_scale);
  const Metric metric = goal.metric;
  std::vector<Candidate> all = candidates(curve, metric);
  std::erase_if(all, [&](const Candidate& c) {
    return (goal.steps_said && c.steps_option != spec.options.steps) ||
           (goal.sampler_said && c.sampler != spec.options.sampler);
  });
  check(!all.empty(), ErrorKind::usage, goal.curve_file, ": no point of it has the metric ", name_of(metric),
        goal.steps_said || goal.sampler_said ? " and these --steps and --sampler" : "");

  const double sign = is_better_lower(metric) ? 1 : -1;
  const auto seconds = [&](const Candidate& c) { return costs.seconds(c.evaluations); };
  // The last model alone, at its most steps.
  const Candidate* alone = nullptr;
  for (const Candidate& c : all)
    if (std::all_of(c.evaluations.begin(), c.evaluations.end() - 1, [](int64_t n) { return n == 0; }) &&
        (!alone || c.evaluations.back() > alone->evaluations.back()))
      alone = &c;
  check(alone || goal.budget, ErrorKind::usage, goal.curve_file, ": no point of ", names.back(),
        " alone to compare with");

  const Candidate* chosen = nullptr;
  if (goal.max_metric_loss) {
    const double bound = alone->metric + sign * *goal.max_metric_loss * std::abs(alone->metric);
    for (const Candidate& c : all)
      if (sign * (c.metric - bound) <= 0 && (!chosen || seconds(c) < seconds(*chosen))) chosen = &c;
  } else {
    const double limit = time_limit(goal, alone ? seconds(*alone) : 0);
    for (const Candidate& c : all)
      if (seconds(c) <= limit && (!chosen || sign * (c.metric - chosen->metric) < 0)) chosen = &c;
    const auto fastest = std::ranges::min_element(all, {}, seconds);
    check(chosen != nullptr, ErrorKind::usage, "no point of ", goal.curve_file,
          " is that fast: the fastest takes ", seconds(*fastest), " s, and ", limit, " s were asked for");
  }

  ChosenTrajectory choice;
  choice.sampler = chosen->sampler;
  choice.steps_option = chosen->steps_option;
  choice.steps = chosen->steps;
  choice.assignment = chosen->assignment;
  choice.levels = chosen->levels;
  choice.eta = chosen->eta;
  choice.cfg_scale = *spec.options.cfg_scale;
  choice.seconds = seconds(*chosen);
  if (alone) choice.speedup = seconds(*alone) / choice.seconds;
  choice.metric = std::string(name_of(metric));
  choice.value = chosen->metric;
  choice.deviation = chosen->deviation;
  choice.measured = chosen->measured;
  return choice;
}

}  // namespace

RunSpec spec_of_all(const std::vector<ModelInfo>& infos, SampleOptions options) {
  constexpr const char* kConsequence = "among which nothing is chosen yet";
  check_equal_steps(options, kConsequence);
  for (const StageOptions& stage : options.stages)
    check(!stage.form.cache.holds(), ErrorKind::usage, "a --stage with cache= has steps of unequal cost, ",
          kConsequence);
  options.fractions.assign(infos.size(), 0);
  options.fractions.back() = 1;
  options.switch_steps.clear();
  options.assignment.clear();
  // Shares are those of all steps: from an initial picture on, the first model may have none.
  const auto models = std::ssize(infos),
             steps = std::ptrdiff_t{make_run_spec(infos, options).trajectory.size()};
  check(steps >= models, ErrorKind::usage, "--steps ", steps, " are too few for ", models, " models");
  options.fractions.clear();
  for (std::ptrdiff_t s = 0; s < steps; ++s)
    options.assignment.push_back(static_cast<int>(s * models / steps));
  return make_run_spec(infos, options);
}

std::optional<ChosenTrajectory> choose_trajectory(Engine& engine, const SampleOptions& options,
                                                  const Goal& goal, const std::function<bool()>& cancelled) {
  const std::vector<ModelInfo>& infos = engine.infos();
  const RunSpec spec = spec_of_all(infos, options);
  const std::vector<EvaluationTime> times = engine.time_evaluations(spec, cancelled);
  if (times.empty()) return {};
  const Costs costs{.evaluation = times,
                    .batches = batches_in(spec),
                    .decoding = static_cast<double>(spec.images()) * engine.time_decoding(spec)};
  if (cancelled()) return {};
  auto choice = !goal.curve ? choose_by_estimate(engine, options, spec, costs, goal, cancelled)
                            : choose_by_curve(infos, spec, costs, goal);
  if (!choice) return {};
  choice->models = names_of(infos);
  const RunSpec chosen = chosen_run(infos, options, *choice);
  const nlohmann::ordered_json all = to_json(chosen.options);
  for (const auto& [name, value] : all.items())
    if (is_planned(field_named(name))) choice->options[name] = texts_of(value);
  choice->seconds_spread = costs.spread(evaluations_of(engine, chosen, infos.size()));
  return choice;
}

}  // namespace tstitch
