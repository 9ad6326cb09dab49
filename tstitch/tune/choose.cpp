#include "tstitch/tune/choose.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

// An assignment of the steps so far.
struct Partial {
  double seconds, loss;
  int model;       // of the latest step
  int64_t before;  // the partial one without it: its place in the list of the step before
};

constexpr size_t kMostPartial = 1'000'000;

// Keeps what no other beats, fastest first. Of equals the first stays.
void prune(std::vector<Partial>& all) {
  std::ranges::stable_sort(all, [](const Partial& a, const Partial& b) {
    return a.seconds != b.seconds ? a.seconds < b.seconds : a.loss < b.loss;
  });
  std::vector<Partial> kept;
  for (const Partial& one : all)
    if (kept.empty() || one.loss < kept.back().loss) kept.push_back(one);
  all = std::move(kept);
}

}  // namespace

std::vector<Assigned> best_assignments(const StepCosts& costs, bool ordered) {
  const size_t steps = costs.seconds.size(), models = steps ? costs.seconds[0].size() : 0;
  check_internal(steps > 0 && models > 0 && costs.loss.size() == steps, "a plan of no steps");
  // history[s]: the partial assignments behind step s, by their latest model where the order counts.
  std::vector<std::vector<Partial>> history;
  for (size_t s = 0; s < steps; ++s) {
    std::vector<std::vector<Partial>> by_model(models);
    for (size_t m = 0; m < models; ++m) {
      const auto add = [&](double seconds, double loss, int64_t before) {
        by_model[m].push_back(
            {seconds + costs.seconds[s][m], loss + costs.loss[s][m], static_cast<int>(m), before});
      };
      if (s == 0) add(0, 0, -1);
      for (size_t i = 0; s > 0 && i < history.back().size(); ++i)
        if (const Partial& p = history.back()[i]; !ordered || p.model <= static_cast<int>(m))
          add(p.seconds, p.loss, static_cast<int64_t>(i));
      if (ordered) prune(by_model[m]);
    }
    std::vector<Partial> all;
    for (const auto& some : by_model) all.insert(all.end(), some.begin(), some.end());
    if (!ordered) prune(all);
    check(all.size() <= kMostPartial, ErrorKind::usage, "too many trajectories to choose from: more than ",
          kMostPartial, " after ", s + 1, " steps of ", models, " models");
    history.push_back(std::move(all));
  }

  std::vector<Partial> last = history.back();
  prune(last);
  std::vector<Assigned> best;
  for (Partial at : last) {
    Assigned assigned{.assignment = std::vector<int>(steps), .seconds = at.seconds, .loss = at.loss};
    for (size_t s = steps; s-- > 0;) {
      assigned.assignment[s] = at.model;
      if (s > 0) at = history[s - 1][static_cast<size_t>(at.before)];
    }
    best.push_back(std::move(assigned));
  }
  return best;
}

std::vector<std::vector<double>> estimated_losses(const Trajectory& trajectory, size_t models,
                                                  const std::vector<PairSimilarity>& differences) {
  std::vector<std::vector<double>> losses(static_cast<size_t>(trajectory.size()),
                                          std::vector<double>(models, 0));
  const auto size = [](const NoiseLevel& level) { return std::hypot(level.alpha, level.sigma); };
  const double end = size(trajectory[trajectory.size() - 1].next);
  for (const PairSimilarity& pair : differences) {
    if (pair.second != static_cast<int>(models) - 1) continue;
    for (const StepSimilarity& at : pair.steps) {
      const Step& step = trajectory[at.step];
      const auto [t, alpha, sigma] = step.level;
      const double moved = step.next.alpha - alpha * step.next.sigma / sigma;
      const double loss = std::abs(moved) * end / size(step.next) * std::sqrt(at.x0_mse);
      check(std::isfinite(loss), ErrorKind::input, "the models differ by ", loss, " at step ", at.step + 1,
            ": no estimate of what a trajectory costs in quality; a curve of `tstitch sweep` is one");
      losses[static_cast<size_t>(at.step)][static_cast<size_t>(pair.first)] = loss;
    }
  }
  return losses;
}

std::vector<Candidate> candidates(const Curve& curve, Metric metric) {
  std::vector<Candidate> all;
  for (const CurvePoint& point : curve.points)
    if (const auto value = value_of(point.mean, metric))
      all.push_back({.label = point.label,
                     .sampler = point.sampler,
                     .steps_option = point.steps_option,
                     .assignment = point.assignment,
                     .levels = point.levels,
                     .steps = point.steps,
                     .eta = point.eta,
                     .evaluations = point.evaluations,
                     .metric = *value,
                     .deviation = value_of(point.deviation, metric)});
  if (curve.models.size() != 2) return all;

  // Shares that differ in the number of steps only, smallest first.
  std::vector<Candidate> shares;
  for (size_t i = 0; i < curve.points.size(); ++i)
    for (const Candidate& c : all)
      if (curve.points[i].kind == "share" && c.label == curve.points[i].label &&
          c.assignment == curve.points[i].assignment &&
          (shares.empty() ||
           (c.levels == shares[0].levels && c.eta == shares[0].eta && c.sampler == shares[0].sampler)))
        shares.push_back(c);
  const auto small = [](const Candidate& c) {
    const std::vector<int> assignment = parse_assignment(c.assignment, c.steps);
    return static_cast<int>(std::ranges::count(assignment, 0));
  };
  std::ranges::sort(shares, {}, small);
  for (size_t i = 0; i + 1 < shares.size(); ++i) {
    const Candidate &a = shares[i], &b = shares[i + 1];
    const int from = small(a), to = small(b);
    for (int k = from + 1; k < to; ++k) {
      const double w = static_cast<double>(k - from) / (to - from);
      const std::vector<int> switches = {k};
      Candidate between{.label = concat(k, " of ", a.steps, " steps"),
                        .sampler = a.sampler,
                        .steps_option = a.steps_option,
                        .assignment = format_assignment(assign_at(switches, a.steps)),
                        .levels = a.levels,
                        .steps = a.steps,
                        .eta = a.eta,
                        .evaluations = {},
                        .metric = (1 - w) * a.metric + w * b.metric,
                        .deviation = {},
                        .measured = false};
      for (size_t m = 0; m < 2; ++m)
        between.evaluations.push_back(std::llround((1 - w) * static_cast<double>(a.evaluations[m]) +
                                                   w * static_cast<double>(b.evaluations[m])));
      if (a.deviation && b.deviation)
        between.deviation = std::hypot((1 - w) * *a.deviation, w * *b.deviation);
      all.push_back(std::move(between));
    }
  }
  return all;
}

}  // namespace tstitch
