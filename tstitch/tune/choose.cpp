#include "tstitch/tune/choose.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

// An assignment of the steps so far.
struct Partial {
  double seconds, loss, price;
  int form;        // of the latest step
  int64_t age;     // of that form as the next step begins
  int64_t before;  // the partial one without the latest step: its place in the list of the step before

  double total() const { return loss + price; }
};

// Of all steps, forms and ages together: what a search may keep.
constexpr size_t kMostPartial = 3'000'000;

// Keeps what no other beats, fastest first. Of equals the first stays.
void prune(std::vector<Partial>& all) {
  std::ranges::stable_sort(all, [](const Partial& a, const Partial& b) {
    return a.seconds != b.seconds ? a.seconds < b.seconds : a.total() < b.total();
  });
  std::vector<Partial> kept;
  for (const Partial& one : all)
    if (kept.empty() || one.total() < kept.back().total()) kept.push_back(one);
  all = std::move(kept);
}

// Of more than `most` such the best of each of so many equal spans of time, and the fastest.
void thin(std::vector<Partial>& all, size_t most) {
  if (all.size() <= most) return;
  const double first = all.front().seconds, span = (all.back().seconds - first) / static_cast<double>(most);
  const auto number = [&](const Partial& one) { return std::floor((one.seconds - first) / span); };
  std::vector<Partial> kept = {all.front()};
  for (size_t i = 1; i < all.size(); ++i)
    if (i + 1 == all.size() || number(all[i]) != number(all[i + 1])) kept.push_back(all[i]);
  all = std::move(kept);
}

}  // namespace

Assigned with_costs(const StepCosts& costs, std::vector<int> assignment) {
  Assigned all;
  int64_t age = 0;
  for (size_t s = 0; s < assignment.size(); ++s) {
    const FormCosts& form = costs.forms[static_cast<size_t>(assignment[s])];
    if (s > 0 && assignment[s] != assignment[s - 1]) {
      age = 0;
      all.price += costs.switch_price;
    }
    all.seconds += form.seconds[s][static_cast<size_t>(age)];
    all.loss += form.loss[s][static_cast<size_t>(age)];
    age = (age + costs.evaluations[s]) % form.ages;
  }
  all.assignment = std::move(assignment);
  return all;
}

std::vector<Assigned> best_assignments(const StepCosts& costs, bool ordered, size_t most) {
  const size_t steps = costs.evaluations.size(), forms = costs.forms.size();
  check_internal(steps > 0 && forms > 0, "a plan of no steps");
  size_t states = 0;  // pairs of a form and its age
  for (const FormCosts& form : costs.forms)
    states += static_cast<size_t>(std::min<int64_t>(form.ages, static_cast<int64_t>(steps)));
  most = std::min(most, std::max<size_t>(64, kMostPartial / (steps * states)));

  // history[s]: the partial assignments behind step s.
  std::vector<std::vector<Partial>> history;
  for (size_t s = 0; s < steps; ++s) {
    std::map<std::pair<int, int64_t>, std::vector<Partial>> by_state;
    const auto add = [&](int m, int64_t age, const Partial& before, int64_t place, double price) {
      const FormCosts& form = costs.forms[static_cast<size_t>(m)];
      const int64_t next = (age + costs.evaluations[s]) % form.ages;
      by_state[{m, next}].push_back({.seconds = before.seconds + form.seconds[s][static_cast<size_t>(age)],
                                     .loss = before.loss + form.loss[s][static_cast<size_t>(age)],
                                     .price = before.price + price,
                                     .form = m,
                                     .age = next,
                                     .before = place});
    };
    for (int m = 0; m < static_cast<int>(forms); ++m) {
      if (s == 0) add(m, 0, {}, -1, 0);
      for (size_t i = 0; s > 0 && i < history.back().size(); ++i) {
        const Partial& p = history.back()[i];
        const auto place = static_cast<int64_t>(i);
        if (p.form == m)
          add(m, p.age, p, place, 0);
        else if (!ordered || p.form < m)
          add(m, 0, p, place, costs.switch_price);
      }
    }
    std::vector<Partial> all;
    for (auto& [state, some] : by_state) {
      prune(some);
      thin(some, most);
      all.insert(all.end(), some.begin(), some.end());
    }
    history.push_back(std::move(all));
  }

  std::vector<Partial> last = history.back();
  prune(last);
  std::vector<Assigned> best;
  for (Partial at : last) {
    Assigned assigned{
        .assignment = std::vector<int>(steps), .seconds = at.seconds, .loss = at.loss, .price = at.price};
    for (size_t s = steps; s-- > 0;) {
      assigned.assignment[s] = at.form;
      if (s > 0) at = history[s - 1][static_cast<size_t>(at.before)];
    }
    best.push_back(std::move(assigned));
  }
  return best;
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
