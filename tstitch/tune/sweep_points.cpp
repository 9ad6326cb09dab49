#include "tstitch/tune/sweep_points.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "tstitch/base/error.h"
#include "tstitch/base/philox.h"

namespace tstitch {
namespace {

// All ways to put `parts` into the models from `model` on, behind `shares`.
void share_out(int parts, int grid, size_t model, std::vector<double>& shares,
               std::vector<std::vector<double>>& all) {
  if (model + 1 == shares.size()) {
    shares[model] = static_cast<double>(parts) / grid;
    all.push_back(shares);
    return;
  }
  for (int taken = 0; taken <= parts; ++taken) {
    shares[model] = static_cast<double>(taken) / grid;
    share_out(parts - taken, grid, model + 1, shares, all);
  }
}

std::string text_of(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", share);
  return text;
}

// The `count` steps that the small model serves when a step's chance falls as (1 - i/N)^((1 - r) / r), whose
// mean is r: drawn without replacement (Efraimidis & Spirakis 2006) from the seed.
std::vector<int> ever_less_probably(int steps, int count, uint64_t seed) {
  std::vector<int> assignment(static_cast<size_t>(steps), 1);
  if (count == 0) return assignment;
  const double power = static_cast<double>(steps - count) / count;
  std::vector<std::pair<double, int>> keys;
  for (int i = 0; i < steps; ++i) {
    // The draw ~2 keeps this stream apart from those of noise and classes (tstitch/diffusion/noise.h).
    const PhiloxBlock block = philox({static_cast<uint32_t>(i), ~2u, 0, 0}, seed);
    const double uniform = (static_cast<double>(block[0]) + 0.5) * 0x1p-32;
    keys.emplace_back(std::log(uniform) / std::pow(1 - static_cast<double>(i) / steps, power), i);
  }
  std::ranges::sort(keys, std::greater());
  for (int i = 0; i < count; ++i) assignment[static_cast<size_t>(keys[static_cast<size_t>(i)].second)] = 0;
  return assignment;
}

}  // namespace

std::vector<std::vector<double>> simplex(size_t models, int grid) {
  check(grid >= 1, ErrorKind::usage, "--grid is ", grid, ", expected at least 1");
  double count = 1;
  for (size_t i = 1; i < models; ++i)
    count *= static_cast<double>(static_cast<size_t>(grid) + i) / static_cast<double>(i);
  check(count <= 1000, ErrorKind::usage, "--grid ", grid, " shares the steps of ", models, " models in ",
        count, " ways, expected at most 1000");
  std::vector<std::vector<double>> all;
  std::vector<double> shares(models);
  share_out(grid, grid, 0, shares, all);
  return all;
}

SweepPoint share_point(const SampleOptions& options, const std::vector<double>& fractions) {
  SweepPoint point{
      .kind = "share", .label = text_of(fractions[0]), .fractions = fractions, .options = options};
  for (size_t i = 1; i < fractions.size() && fractions.size() > 2; ++i)
    point.label += concat('/', text_of(fractions[i]));
  point.options.fractions = fractions;
  return point;
}

std::vector<SweepPoint> order_points(const std::vector<ModelInfo>& models, const SampleOptions& options) {
  check(models.size() == 2, ErrorKind::usage, "--orders compares the orders of two models, but there ",
        models.size() == 1 ? "is " : "are ", models.size());
  const RunSpec spec = make_run_spec(models, options);
  const int steps = spec.trajectory.size(), small = spec.trajectory.steps_of(0);
  std::vector<int> large_first(static_cast<size_t>(steps), 0), in_turns(static_cast<size_t>(steps), 1);
  std::fill_n(large_first.begin(), steps - small, 1);
  for (int i = 0; i < steps; ++i)
    if ((i + 1) * small / steps > i * small / steps) in_turns[static_cast<size_t>(i)] = 0;

  std::vector<SweepPoint> points;
  for (const auto& [label, assignment] :
       {std::pair{"small, then large", spec.trajectory.assignment()},
        {"large, then small", large_first},
        {"in turns", in_turns},
        {"small ever less", ever_less_probably(steps, small, options.seed)}}) {
    points.push_back({.kind = "order", .label = label, .fractions = {}, .options = options});
    points.back().options.fractions.clear();
    points.back().options.assignment = assignment;
  }
  return points;
}

std::vector<SweepPoint> step_points(const std::vector<ModelInfo>& models, const SampleOptions& options,
                                    std::span<const std::string> steps) {
  std::vector<SweepPoint> points;
  for (const std::string& some : steps) {
    points.push_back({.kind = "steps", .label = some + " steps", .fractions = {}, .options = options});
    points.back().options.steps = some;
    points.back().options.spacing.timesteps.clear();
    points.back().options.fractions.assign(models.size(), 0);
    points.back().options.fractions.back() = 1;
  }
  return points;
}

}  // namespace tstitch
