#include "tstitch/diffusion/switch_rule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

constexpr std::array<std::pair<SwitchRule, std::string_view>, 5> kRules = {{{SwitchRule::dit, "dit"},
                                                                            {SwitchRule::ldm, "ldm"},
                                                                            {SwitchRule::step, "step"},
                                                                            {SwitchRule::lcm, "lcm"},
                                                                            {SwitchRule::round, "round"}}};

struct Progress {
  int i;  // step 0 .. n-1
  int n;
  double t;  // timestep 0 .. T
  int T;
};

// Whether the step lies within the first share r of the trajectory. The reference's expressions: see the
// header before touching one.
bool is_within(SwitchRule rule, double r, const Progress& at) {
  const double t = at.t / at.T;
  switch (rule) {
    case SwitchRule::dit:
      return t >= 1 - r;
    case SwitchRule::ldm:
      return r == 1 || t > 1 - r;
    case SwitchRule::step:
      return static_cast<double>(at.i + 1) / at.n <= r;
    case SwitchRule::lcm:
      return r == 1 || (r != 0 && static_cast<double>(at.i) / at.n <= r);
    case SwitchRule::round:
      return at.i < std::nearbyint(r * at.n);
  }
  fail(ErrorKind::internal, "unknown switch rule ", static_cast<int>(rule));
}

// MultiTStitch holds the cumulative shares in f32 and compares the progress with them in f32.
bool is_within_f32(float r, const Progress& at) {
  const double progress = 1 - at.t / at.T;
  return static_cast<float>(progress) <= r;
}

void check_fractions(std::span<const double> fractions) {
  check(!fractions.empty(), ErrorKind::usage, "no fractions: expected one for each model");
  double sum = 0;
  for (const double fraction : fractions) {
    check(0 <= fraction && fraction <= 1, ErrorKind::usage, "fraction ", fraction, ", expected 0 to 1");
    sum += fraction;
  }
  check(std::abs(sum - 1) <= 1e-6, ErrorKind::usage, "the fractions add up to ", sum, ", expected 1");
}

}  // namespace

std::string_view name_of(SwitchRule rule) { return kRules[static_cast<size_t>(rule)].second; }

std::optional<SwitchRule> parse_switch_rule(std::string_view name) {
  for (const auto& [rule, known] : kRules)
    if (known == name) return rule;
  return std::nullopt;
}

std::vector<int> assign_steps(SwitchRule rule, std::span<const double> fractions,
                              std::span<const double> timesteps, int train_timesteps) {
  check_fractions(fractions);
  const int n = static_cast<int>(timesteps.size());
  int last =
      static_cast<int>(fractions.size()) - 1;  // the last model with a share takes what the others leave
  while (fractions[last] == 0) --last;
  const bool multi = rule == SwitchRule::dit && fractions.size() > 2;

  std::vector<int> assignment;
  assignment.reserve(timesteps.size());
  for (int i = 0; i < n; ++i) {
    const Progress at = {.i = i, .n = n, .t = timesteps[i], .T = train_timesteps};
    check_internal(0 <= at.t && at.t <= at.T, "timestep ", at.t, " of ", at.T);
    int model = 0;
    double share = 0;  // of this model and those before it
    for (; model < last; ++model) {
      // torch.cumsum adds the f32 fractions in f64 and stores f32.
      share += multi ? static_cast<float>(fractions[model]) : fractions[model];
      if (multi ? is_within_f32(static_cast<float>(share), at) : is_within(rule, share, at)) break;
    }
    assignment.push_back(model);
  }
  return assignment;
}

std::vector<int> assign_at(std::span<const int> switch_steps, int steps) {
  std::vector<int> assignment;
  int model = 0, begin = 0;
  for (const int end : switch_steps) {
    check(begin <= end && end <= steps, ErrorKind::usage, "switch at step ", end, ", expected ", begin,
          " to ", steps);
    assignment.insert(assignment.end(), end - begin, model++);
    begin = end;
  }
  assignment.insert(assignment.end(), steps - begin, model);
  return assignment;
}

}  // namespace tstitch
