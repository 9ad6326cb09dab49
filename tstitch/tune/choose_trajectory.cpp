#include "tstitch/tune/choose_trajectory.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "tstitch/base/error.h"
#include "tstitch/engine/fields.h"
#include "tstitch/io/refuse.h"
#include "tstitch/output/run_manifest.h"
#include "tstitch/tune/choose.h"
#include "tstitch/tune/equal_steps.h"
#include "tstitch/tune/timing.h"

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

// Images of each half of the probes.
int64_t half_of(int64_t probes, const RunSpec& spec) {
  return std::max<int64_t>(1, std::min(probes, spec.images()) / 2);
}

// What two halves of a few images say.
std::vector<Divergence> probe(Engine& engine, const RunSpec& spec, int64_t probes,
                              const std::function<bool()>& cancelled) {
  std::vector<Divergence> halves;
  const int64_t half = half_of(probes, spec);
  for (int64_t side = 0; side < 2; ++side) {
    RunSpec few = spec;
    few.options.given = {};
    few.options.seed =
        seed_of_repeat(spec.options, side, half);  // other noise, also where there is one image only
    const int64_t first = std::min(side * half, spec.images() - half);
    few.subjects = {spec.subjects.begin() + first, spec.subjects.begin() + first + half};
    Cancellable observer(cancelled);
    halves.push_back(measure_divergence(engine.backend(), engine.models(), few, observer, engine.inputs()));
    if (halves.back().forms.empty()) return {};
  }
  return halves;
}

// The mean of the losses of both.
StepCosts mean_of(StepCosts a, const StepCosts& b) {
  for (size_t f = 0; f < a.forms.size(); ++f)
    for (size_t s = 0; s < a.evaluations.size(); ++s)
      for (size_t age = 0; age < a.forms[f].loss[s].size(); ++age)
        a.forms[f].loss[s][age] = (a.forms[f].loss[s][age] + b.forms[f].loss[s][age]) / 2;
  return a;
}

// How far the time of an assignment may be off: the times of a way of asking go up and down together, those
// of two by themselves.
double spread_of(const RunSpec& spec, const StepCosts& costs, const Times& times,
                 const std::vector<int>& assignment) {
  std::map<Asking, double> sums;
  int64_t age = 0;
  for (const Step& step : spec.trajectory) {
    const auto s = static_cast<size_t>(step.index);
    const auto form = static_cast<size_t>(assignment[s]);
    const int64_t ages = costs.forms[form].ages;
    if (s > 0 && assignment[s] != assignment[s - 1]) age = 0;
    for (int e = 0; e < costs.evaluations[s]; ++e, age = (age + 1) % ages) {
      const Asking asking = asking_in(spec, step, form, age == 0);
      sums[asking] += times.at(asking).spread * batches_in(spec);
    }
  }
  double squares = 0;
  for (const auto& [asking, sum] : sums) squares += sum * sum;
  return std::sqrt(squares);
}

// Evenly apart in time, the first and the last among them.
std::vector<Assigned> some_of(const std::vector<Assigned>& best) {
  constexpr int kSome = 11;
  std::vector<Assigned> some;
  const double first = best.front().seconds, span = best.back().seconds - first;
  for (const Assigned& one : best) {
    const double due = first + span * static_cast<double>(some.size()) / (kSome - 1);
    if (some.empty() || one.seconds >= due || &one == &best.back()) some.push_back(one);
  }
  return some;
}

std::optional<ChosenTrajectory> choose_by_divergence(Engine& engine, const RunSpec& spec, const Goal& goal,
                                                     const std::function<bool()>& cancelled) {
  const std::vector<std::string> names = names_of(engine.infos());
  const MeasuredDivergence* const measured = goal.divergence ? &*goal.divergence : nullptr;
  const double sigma_data = measured ? measured->sigma_data : kSigmaData;
  const std::vector<Divergence> halves =
      measured ? std::vector{measured->divergence} : probe(engine, spec, goal.probes, cancelled);
  if (halves.empty()) return {};
  const bool known = times_are_known(engine, spec, goal);
  const Times times =
      known ? measured->times : engine.time_evaluations(spec, askings_of(spec, halves.front()), cancelled);
  if (times.empty()) return {};
  const double decoding =
      static_cast<double>(spec.images()) * (known ? measured->decoding : engine.time_decoding(spec));
  if (cancelled()) return {};

  std::vector<StepCosts> of_halves;
  for (const Divergence& half : halves) of_halves.push_back(step_costs(spec, half, times));
  StepCosts costs = mean_of(of_halves.front(), of_halves.back());
  const auto steps = static_cast<size_t>(spec.trajectory.size());
  const auto alone = [&](size_t form) {
    return with_costs(costs, std::vector<int>(steps, static_cast<int>(form)));
  };
  double most = 0;  // of all forms
  for (size_t form = 0; form < names.size(); ++form) most = std::max(most, alone(form).loss);
  const bool any_order = goal.any_order || measured;
  if (any_order) costs.switch_price = goal.switch_price * most;
  const double of_last = alone(names.size() - 1).seconds + decoding;

  const std::vector<Assigned> best = best_assignments(costs, !any_order);
  auto chosen = best.begin();
  if (goal.max_divergence) {
    const double bound = goal.max_divergence->value * (goal.max_divergence->is_share ? most : 1);
    // The last model alone diverges from nothing.
    chosen = std::ranges::find_if(best, [&](const Assigned& one) { return one.loss <= bound; });
  } else {
    const double limit = time_limit(goal, of_last);
    const auto beyond =
        std::ranges::find_if(best, [&](const Assigned& one) { return one.seconds + decoding > limit; });
    check(beyond != best.begin(), ErrorKind::usage, "no trajectory is that fast: the fastest, ",
          describe(best[0].assignment, names), ", takes ", best[0].seconds + decoding, " s, and ", limit,
          " s were asked for");
    chosen = beyond - 1;
  }

  ChosenTrajectory choice;
  choice.steps_option = spec.options.steps;  // also where they are the model's
  choice.sampler = spec.options.sampler;
  choice.steps = spec.trajectory.size();
  choice.assignment = format_assignment(chosen->assignment);
  choice.levels = hash_of_levels(spec.trajectory);
  choice.eta = spec.solver.eta;
  choice.cfg_scale = *spec.options.cfg_scale;
  choice.seconds = chosen->seconds + decoding;
  choice.seconds_spread = spread_of(spec, costs, times, chosen->assignment);
  choice.speedup = of_last / choice.seconds;
  choice.divergence = chosen->loss;
  choice.largest_divergence = alone(0).loss;
  choice.sigma_data = sigma_data;
  choice.divergence_spread = std::abs(with_costs(of_halves.front(), chosen->assignment).loss -
                                      with_costs(of_halves.back(), chosen->assignment).loss) /
                             2;
  for (const Assigned& one : some_of(best))
    choice.alternatives.push_back({.assignment = format_assignment(one.assignment),
                                   .seconds = one.seconds + decoding,
                                   .speedup = of_last / (one.seconds + decoding),
                                   .divergence = one.loss});
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

RunSpec spec_of_all(const std::vector<ModelInfo>& infos, SampleOptions options, bool by_curve) {
  if (by_curve) {
    constexpr const char* kConsequence = "which a curve does not know yet";
    check_equal_steps(options, kConsequence);
    for (const StageOptions& stage : options.stages)
      check(!stage.form.cache.holds(), ErrorKind::usage, "a --stage with cache= has steps of unequal cost, ",
            kConsequence);
  } else {
    check_compares(infos);
  }
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

bool times_are_known(const Engine& engine, const RunSpec& spec, const Goal& goal) {
  return goal.divergence &&
         goal.divergence->timed ==
             describe_timing(engine.backend(), std::min(spec.options.batch_size, spec.images())) &&
         goal.divergence->autoencoder == describe_autoencoder(engine.autoencoder());
}

int64_t bytes_of_choosing(const std::vector<ModelInfo>& infos, const RunSpec& spec, const Goal& goal) {
  if (goal.curve || goal.divergence) return 0;
  return divergence_bytes(infos, spec, half_of(goal.probes, spec));
}

void check_divergence(Engine& engine, const RunSpec& spec, const Goal& goal,
                      const std::function<void()>& between) {
  if (!goal.divergence) return;
  const std::vector<ModelInfo>& infos = engine.infos();
  check_measured(*goal.divergence,
                 nothing_measured(spec, infos, contents_of_models(infos, between), engine.backend(),
                                  goal.divergence->sigma_data),
                 goal.divergence_file);
  // The stages of the file say it, too; its numbers are of as many ages as it has.
  const std::vector<FormDivergence>& forms = goal.divergence->divergence.forms;
  const bool same_ages = std::ranges::equal(forms, infos, {}, &FormDivergence::ages,
                                            [](const ModelInfo& info) { return info.form.cache.every; });
  check(same_ages && goal.divergence->divergence.evaluations == evaluations_of_steps(engine.backend(), spec),
        ErrorKind::usage, shown_path(goal.divergence_file),
        ": measured of other numbers of evaluations: expected the --sampler and the cache= of this run");
}

std::optional<ChosenTrajectory> choose_trajectory(Engine& engine, const SampleOptions& options,
                                                  const Goal& goal, const std::function<bool()>& cancelled) {
  const std::vector<ModelInfo>& infos = engine.infos();
  const RunSpec spec = spec_of_all(infos, options, goal.curve.has_value());
  std::optional<ChosenTrajectory> choice;
  std::optional<Costs> costs;
  if (goal.curve) {
    const std::vector<EvaluationTime> times = engine.time_evaluations(spec, cancelled);
    if (times.empty()) return {};
    costs = Costs{.evaluation = times,
                  .batches = batches_in(spec),
                  .decoding = static_cast<double>(spec.images()) * engine.time_decoding(spec)};
    if (cancelled()) return {};
    choice = choose_by_curve(infos, spec, *costs, goal);
  } else {
    choice = choose_by_divergence(engine, spec, goal, cancelled);
  }
  if (!choice) return {};
  choice->models = names_of(infos);
  const RunSpec chosen = chosen_run(infos, options, *choice);
  const nlohmann::ordered_json all = to_json(chosen.options);
  for (const auto& [name, value] : all.items())
    if (is_planned(field_named(name))) choice->options[name] = texts_of(value);
  if (costs) choice->seconds_spread = costs->spread(evaluations_of(engine, chosen, infos.size()));
  return choice;
}

}  // namespace tstitch
