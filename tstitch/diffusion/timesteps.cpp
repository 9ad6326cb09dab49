#include "tstitch/diffusion/timesteps.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/diffusion/beta_quantile.h"
#include "tstitch/diffusion/respacing.h"

namespace tstitch {
namespace {

constexpr std::array<std::pair<Spacing, std::string_view>, 5> kSpacings = {{{Spacing::respaced, "respaced"},
                                                                            {Spacing::leading, "leading"},
                                                                            {Spacing::linspace, "linspace"},
                                                                            {Spacing::trailing, "trailing"},
                                                                            {Spacing::lcm, "lcm"}}};
constexpr std::array<std::pair<SigmaSpacing, std::string_view>, 5> kSigmaSpacings = {
    {{SigmaSpacing::discrete, "discrete"},
     {SigmaSpacing::karras, "karras"},
     {SigmaSpacing::exponential, "exponential"},
     {SigmaSpacing::beta, "beta"},
     {SigmaSpacing::lu, "lu"}}};

template <class Names>
std::string names_in(const Names& names) {
  return join(names, ", ", [](const auto& entry) { return entry.second; });
}

template <class Names>
auto parse(const Names& names, std::string_view name) {
  const auto found = std::ranges::find(names, name, [](const auto& entry) { return entry.second; });
  return found == names.end() ? std::nullopt : std::optional(found->first);
}

// ---- what sets one solver's levels apart

using Rounding = double (*)(double t);
double exact(double t) { return t; }
double nearest(double t) { return std::nearbyint(t); }  // ties to even, as numpy rounds
// A hair's breadth above, so that the rounding of logarithms decides nothing where diffusers' does not.
double down(double t) { return std::floor(t + 1e-6); }

struct Rule {
  std::string_view solver;
  Spacing spacing;
  int offset = 0;               // of leading
  bool one_more = false;        // linspace and leading place N + 1 and leave out the lowest
  Rounding linspace = nearest;  // of its timesteps
  bool any_sigmas = true;       // not only discrete
  bool whole_range = false;     // other sigmas than discrete span the schedule, not the chosen timesteps
  Rounding karras = exact,
           exponential = exact;  // of the timestep of a ratio; lu as karras, beta as the other
  bool second_twice = false;
  bool ends_clean = true;          // else at the level of t = 0
  bool starts_from_sigma = false;  // with the spacings linspace and trailing
  bool at_any_alpha = false;       // else not where alpha is 0
  bool may_end_noisy = false;      // the options decide
};

constexpr Rule sigma_space(std::string_view solver, Spacing spacing, bool may_end_noisy = false,
                           Rounding karras = exact) {
  return {.solver = solver,
          .spacing = spacing,
          .linspace = exact,
          .karras = karras,
          .starts_from_sigma = true,
          .may_end_noisy = may_end_noisy};
}
constexpr Rule multistep(std::string_view solver, bool ends_clean = true) {
  return {.solver = solver,
          .spacing = Spacing::linspace,
          .one_more = true,
          .whole_range = true,
          .karras = nearest,
          .exponential = down,
          .ends_clean = ends_clean,
          .may_end_noisy = ends_clean};
}

constexpr std::array<Rule, 16> kRules = {
    {{.solver = "ddim", .spacing = Spacing::respaced, .at_any_alpha = true, .may_end_noisy = true},
     {.solver = "ddpm", .spacing = Spacing::respaced, .at_any_alpha = true},
     {.solver = "pndm",
      .spacing = Spacing::leading,
      .offset = 1,
      .any_sigmas = false,
      .second_twice = true,
      .ends_clean = false,
      .may_end_noisy = true},
     sigma_space("euler", Spacing::linspace, true),
     sigma_space("euler_a", Spacing::linspace),
     sigma_space("heun", Spacing::trailing),
     sigma_space("dpm2", Spacing::linspace, false, nearest),
     sigma_space("dpm2_a", Spacing::linspace, false, nearest),
     sigma_space("lms", Spacing::linspace),
     multistep("deis", false),
     multistep("dpm++2s"),
     multistep("dpm++2m"),
     multistep("dpm++2m_sde"),
     multistep("unipc"),
     {.solver = "lcm", .spacing = Spacing::lcm, .any_sigmas = false, .at_any_alpha = true},
     {.solver = "tcd",
      .spacing = Spacing::lcm,
      .any_sigmas = false,
      .ends_clean = false,
      .at_any_alpha = true}}};

const Rule& rule_of(std::string_view solver) {
  check(solver != "flow_euler", ErrorKind::usage,
        "sampler 'flow_euler' is for rectified flows, not for models with a noise schedule of betas");
  const auto rule = std::ranges::find(kRules, solver, &Rule::solver);
  check(rule != kRules.end(), ErrorKind::usage, "no noise levels are known for the sampler '",
        printable(std::string(solver)), "'");
  return *rule;
}

// ---- timesteps, in sampling order

// `where`: what allows no more, "with the spacing leading".
int parse_steps(std::string_view text, const std::string& where, int most) {
  int steps = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), steps);
  const std::string shown = printable(std::string(text));
  check(error == std::errc() && end == text.data() + text.size() && steps >= 1, ErrorKind::usage, "steps '",
        shown, "', expected a whole number of at least 1 ", where);
  check(steps <= most, ErrorKind::usage, "steps '", shown, "': at most ", most, " ", where);
  return steps;
}

// `places` numbers from `last` down to 0; the first `kept` of them.
std::vector<double> linspace(double last, int places, int kept, Rounding rounding) {
  std::vector<double> timesteps;
  const double step = places > 1 ? last / (places - 1) : 0;
  for (int i = places - 1; i >= places - kept; --i)
    timesteps.push_back(i > 0 && i == places - 1 ? last : rounding(i * step));
  return timesteps;
}

std::vector<double> leading(int T, int places, int kept, int offset) {
  std::vector<double> timesteps;
  for (int i = places - 1; i >= places - kept; --i) timesteps.push_back(i * (T / places) + offset);
  return timesteps;
}

std::vector<double> trailing(int T, int kept) {
  // numpy.arange adds multiples of its second element's distance from the first, whose rounding error decides
  // ties; T - i T / N would give other timesteps.
  const double stride = (T - static_cast<double>(T) / kept) - T;
  std::vector<double> timesteps;
  for (int i = 0; i < kept; ++i) timesteps.push_back(std::nearbyint(T + i * stride) - 1);
  return timesteps;
}

// Of the `lowest` first ones of the distilled timesteps.
std::vector<double> lcm(int T, int distilled, int lowest, int kept) {
  std::vector<double> timesteps;
  const double stride = static_cast<double>(lowest) / kept;
  for (int i = 0; i < kept; ++i) {
    const int number = lowest - static_cast<int>(i * stride);  // 50 ... 1
    timesteps.push_back(number * (T / distilled) - 1);
  }
  return timesteps;
}

// Those whose steps need not be equal: "ddim, ddpm, ...".
std::string unequal_solvers() {
  std::vector<std::string_view> solvers;
  for (const Rule& rule : kRules)
    if (!rule.second_twice) solvers.push_back(rule.solver);
  return join(solvers);
}

// Those that are named.
std::vector<double> named(const Rule& rule, std::string_view steps, const SpacingOptions& options, int T) {
  const std::vector<int>& timesteps = options.timesteps;
  check(steps.empty(), ErrorKind::usage, "steps '", printable(std::string(steps)),
        "' and --timesteps exclude each other");
  check(!rule.second_twice, ErrorKind::usage, "--timesteps does not go with the sampler ", rule.solver,
        ", which needs equal steps: expected --sampler ", unequal_solvers());
  const SigmaSpacing sigmas = options.sigmas.value_or(SigmaSpacing::discrete);
  check(sigmas == SigmaSpacing::discrete, ErrorKind::usage, name_of(sigmas),
        " sigmas have timesteps of their own, and --timesteps names others: expected discrete sigmas");
  for (const int t : timesteps)
    check(0 <= t && t < T, ErrorKind::usage, "--timesteps has ", t, ", expected 0 ... ", T - 1);
  for (size_t i = 1; i < timesteps.size(); ++i)
    check(timesteps[i] < timesteps[i - 1], ErrorKind::usage, "--timesteps has ", timesteps[i], " behind ",
          timesteps[i - 1], ", expected them to fall");
  return {timesteps.begin(), timesteps.end()};
}

void check_strength(double strength) {
  check(0 < strength && strength <= 1, ErrorKind::usage, "a strength of ", strength,
        ", expected more than 0 and at most 1");
}

bool strength_keeps_steps(const Rule& rule, const SpacingOptions& options) {
  return options.strength_keeps_steps && options.timesteps.empty() &&
         options.spacing.value_or(rule.spacing) == Spacing::lcm;
}

// Of how many timesteps LCM chooses: of all that were distilled, or of those below the strength.
int share_of_distilled(const Rule& rule, const SpacingOptions& options) {
  if (!strength_keeps_steps(rule, options)) return options.distilled;
  check_strength(options.strength);
  const int lowest = static_cast<int>(options.distilled * options.strength);
  check(lowest > 0, ErrorKind::usage, "a strength of ", options.strength, " leaves none of ",
        options.distilled, " timesteps that were distilled");
  return lowest;
}

std::vector<double> timesteps_of(const Rule& rule, std::string_view steps, const SpacingOptions& options,
                                 int T) {
  if (!options.timesteps.empty()) return named(rule, steps, options, T);
  const Spacing spacing = options.spacing.value_or(rule.spacing);
  const std::string where = concat("with the spacing ", name_of(spacing));
  const int extra = rule.one_more ? 1 : 0;
  switch (spacing) {
    case Spacing::respaced: {
      const std::vector<int> ascending = respaced_timesteps(steps, T);
      return {ascending.rbegin(), ascending.rend()};
    }
    case Spacing::leading: {
      const int kept = parse_steps(steps, where, T - extra);
      return leading(T, kept + extra, kept, options.offset.value_or(rule.offset));
    }
    case Spacing::linspace: {
      const int kept = parse_steps(steps, where, T - extra);
      return linspace(T - 1, kept + extra, kept, rule.linspace);
    }
    case Spacing::trailing:
      return trailing(T, parse_steps(steps, where, T));
    case Spacing::lcm: {
      check(T >= options.distilled, ErrorKind::usage, "the spacing lcm needs a model trained with at least ",
            options.distilled, " timesteps, this one has ", T);
      const int lowest = share_of_distilled(rule, options);
      return lcm(T, options.distilled, lowest, parse_steps(steps, where, lowest));
    }
  }
  fail(ErrorKind::internal, "unknown spacing ", static_cast<int>(spacing));
}

// The last int(strength N) of N levels.
void keep_last(std::vector<NoiseLevel>& levels, double strength) {
  check_strength(strength);
  const auto kept = static_cast<std::ptrdiff_t>(static_cast<double>(levels.size()) * strength);
  check(kept > 0, ErrorKind::usage, "a strength of ", strength, " leaves none of ", levels.size(), " steps");
  levels.erase(levels.begin(), levels.end() - kept);
}

// ---- sigmas

// N ratios sigma / alpha from `highest` to `lowest`, evenly spaced in f(ratio); g is the inverse of f.
template <class F, class G>
std::vector<double> evenly(const F& f, const G& g, double highest, double lowest, int count) {
  std::vector<double> ratios;
  const double first = f(highest), last = f(lowest);
  for (int i = 0; i < count; ++i)
    ratios.push_back(g(count > 1 ? first + i * (1.0 / (count - 1)) * (last - first) : first));
  return ratios;
}

std::vector<double> ratios_of(SigmaSpacing spacing, double highest, double lowest, int count) {
  constexpr double kRho = 7;  // Karras et al. 2022, table 1
  if (spacing == SigmaSpacing::beta)
    return evenly([](double p) { return p; },
                  [&](double p) { return lowest + beta_quantile(p) * (highest - lowest); }, 1, 0, count);
  if (spacing == SigmaSpacing::karras)
    return evenly([](double ratio) { return std::pow(ratio, 1 / kRho); },
                  [](double root) { return std::pow(root, kRho); }, highest, lowest, count);
  return evenly([](double ratio) { return std::log(ratio); }, [](double log) { return std::exp(log); },
                highest, lowest, count);
}

// That of t = 0. diffusers' Euler hands over x / alpha, whatever alpha is.
NoiseLevel lowest_level(const Rule& rule, const NoiseSchedule& schedule) {
  const NoiseLevel level = schedule.level(0);
  if (!rule.starts_from_sigma) return level;
  return {.t = 0, .alpha = 1, .sigma = ratio_of(level)};
}

}  // namespace

std::string_view name_of(Spacing spacing) { return kSpacings[static_cast<size_t>(spacing)].second; }
std::string_view name_of(SigmaSpacing spacing) { return kSigmaSpacings[static_cast<size_t>(spacing)].second; }
std::optional<Spacing> parse_spacing(std::string_view name) { return parse(kSpacings, name); }
std::optional<SigmaSpacing> parse_sigma_spacing(std::string_view name) { return parse(kSigmaSpacings, name); }
std::string spacing_names() { return names_in(kSpacings); }
std::string sigma_spacing_names() { return names_in(kSigmaSpacings); }

std::vector<NoiseLevel> make_levels(std::string_view solver, const NoiseSchedule& trained,
                                    std::string_view steps, const SpacingOptions& options) {
  const Rule& rule = rule_of(solver);
  const NoiseSchedule schedule = rule.at_any_alpha ? trained : trained.with_finite_ratios();
  const SigmaSpacing sigmas = options.sigmas.value_or(SigmaSpacing::discrete);
  const int T = schedule.train_timesteps();
  check(options.offset.value_or(0) >= 0, ErrorKind::usage, "an offset of ", options.offset.value_or(0),
        " timesteps, expected 0 or more");
  const std::vector<double> timesteps = timesteps_of(rule, steps, options, T);
  check(timesteps.front() <= T - 1, ErrorKind::usage, "steps '", printable(std::string(steps)),
        "': the first would be at timestep ", timesteps.front(), ", but the model was trained with ", T);

  std::vector<NoiseLevel> levels;
  if (sigmas == SigmaSpacing::discrete) {
    for (const double t : timesteps) levels.push_back(schedule.level_between(t));
  } else {
    check(rule.any_sigmas, ErrorKind::usage, "sampler '", solver, "' takes no ", name_of(sigmas),
          " sigmas, only discrete");
    const auto ratio_at = [&](double t) { return ratio_of(schedule.level_between(t)); };
    const double highest = options.highest.value_or(ratio_at(rule.whole_range ? T - 1 : timesteps.front()));
    const double lowest = options.lowest.value_or(ratio_at(rule.whole_range ? 0 : timesteps.back()));
    check(lowest < highest || timesteps.size() == 1, ErrorKind::usage, "sigma / alpha from ", highest, " to ",
          lowest, ", expected to fall: \"sigma_max\" and \"sigma_min\" of the model's scheduler");
    const bool to_nearest = sigmas == SigmaSpacing::karras || sigmas == SigmaSpacing::lu;
    const Rounding round = to_nearest ? rule.karras : rule.exponential;
    for (const double ratio : ratios_of(sigmas, highest, lowest, static_cast<int>(timesteps.size())))
      levels.push_back(level_of_ratio(round(schedule.timestep_of_ratio(ratio)), ratio));
    if (round == down && !options.highest && schedule.float32_falls_short()) levels[0].t = std::max(T - 2, 0);
  }
  if (!strength_keeps_steps(rule, options)) keep_last(levels, options.strength);
  if (rule.second_twice && levels.size() > 1) levels.insert(levels.begin() + 1, levels[1]);
  const bool ends_clean = rule.may_end_noisy ? options.ends_clean.value_or(rule.ends_clean) : rule.ends_clean;
  levels.push_back(ends_clean                                             ? kClean
                   : rule.whole_range && sigmas != SigmaSpacing::discrete ? levels.back()
                                                                          : lowest_level(rule, schedule));
  return levels;
}

double initial_scale(std::string_view solver, const SpacingOptions& options, const NoiseLevel& first) {
  const auto rule = std::ranges::find(kRules, solver, &Rule::solver);
  if (rule == kRules.end() || !rule->starts_from_sigma) return 1;
  const Spacing spacing = options.spacing.value_or(rule->spacing);
  return spacing == Spacing::linspace || spacing == Spacing::trailing ? first.sigma : 1;
}

std::vector<NoiseLevel> make_levels(const FlowSchedule& schedule, std::string_view steps, double strength) {
  std::vector<NoiseLevel> levels =
      schedule.levels(parse_steps(steps, "for a rectified flow", schedule.train_timesteps));
  levels.pop_back();
  keep_last(levels, strength);
  levels.push_back(kClean);
  return levels;
}

}  // namespace tstitch
