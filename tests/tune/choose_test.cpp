#include "tstitch/tune/choose.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tstitch/base/error.h"
#include "tstitch/nn/random_weights.h"

namespace tstitch {
namespace {

StepCosts random_costs(size_t steps, size_t models, uint64_t seed) {
  const auto extents = Shape({static_cast<int64_t>(steps), static_cast<int64_t>(models)});
  const Tensor seconds = random_uniform("seconds", extents, 1, seed),
               loss = random_uniform("loss", extents, 1, seed);
  StepCosts costs;
  for (size_t s = 0; s < steps; ++s) {
    costs.seconds.emplace_back();
    costs.loss.emplace_back();
    for (size_t m = 0; m < models; ++m) {
      costs.seconds[s].push_back(2 + seconds.data<float>()[s * models + m]);
      costs.loss[s].push_back(2 + loss.data<float>()[s * models + m]);
    }
  }
  return costs;
}

// All assignments, one after the other.
std::vector<Assigned> brute_force(const StepCosts& costs, bool ordered) {
  const size_t steps = costs.seconds.size(), models = costs.seconds[0].size();
  std::vector<Assigned> all;
  for (size_t code = 0; code < static_cast<size_t>(std::pow(models, steps)); ++code) {
    Assigned one;
    size_t rest = code;
    for (size_t s = 0; s < steps; ++s, rest /= models) {
      one.assignment.push_back(static_cast<int>(rest % models));
      one.seconds += costs.seconds[s][rest % models];
      one.loss += costs.loss[s][rest % models];
    }
    if (!ordered || std::ranges::is_sorted(one.assignment)) all.push_back(one);
  }
  std::vector<Assigned> best;
  std::ranges::sort(all, {}, &Assigned::seconds);
  for (const Assigned& one : all)
    if (best.empty() || one.loss < best.back().loss) best.push_back(one);
  return best;
}

TEST(BestAssignments, AreThoseOfTryingAll) {
  for (const size_t models : {1u, 2u, 3u})
    for (const bool ordered : {true, false})
      for (uint64_t seed = 0; seed < 10; ++seed) {
        const StepCosts costs = random_costs(7, models, seed);
        const auto found = best_assignments(costs, ordered), expected = brute_force(costs, ordered);
        ASSERT_EQ(found.size(), expected.size()) << models << ordered << seed;
        for (size_t i = 0; i < found.size(); ++i) {
          EXPECT_EQ(found[i].assignment, expected[i].assignment);
          EXPECT_NEAR(found[i].seconds, expected[i].seconds, 1e-9);
          EXPECT_NEAR(found[i].loss, expected[i].loss, 1e-9);
        }
      }
}

// With two costs and a loss that grows, stitching is what is best: a small prefix, of every length once.
TEST(BestAssignments, OfModelsThatDriftApartIsStitching) {
  StepCosts costs;
  for (int s = 0; s < 50; ++s) {
    costs.seconds.push_back({1, 10});
    costs.loss.push_back({0.1 + s, 0});
  }
  for (const bool ordered : {true, false}) {
    const auto best = best_assignments(costs, ordered);
    ASSERT_EQ(best.size(), 51u);
    for (const Assigned& one : best) EXPECT_TRUE(std::ranges::is_sorted(one.assignment));
  }
}

// Standard normal latents: the ideal x0 is alpha x / (alpha^2 + sigma^2). A model off by a constant c in it
// moves the end by exactly the sum of its steps' losses, when the steps push the same way.
void expect_exact_losses(const std::vector<NoiseLevel>& levels) {
  const std::vector<int> assignment(levels.size() - 1, 0);
  const Trajectory trajectory(levels, assignment);
  const double c = 0.01;
  PairSimilarity pair{.first = 0, .second = 1, .steps = {}};
  double x = 1.3, y = x;  // by the ideal model, and by the one that is off
  for (const Step& step : trajectory) {
    pair.steps.push_back({.step = step.index,
                          .level = step.level,
                          .cosine = {1, 0},
                          .mse = 0,
                          .relative_mse = 0,
                          .x0_mse = c * c});
    const auto [t, alpha, sigma] = step.level;
    const auto ddim = [&, a = alpha, s = sigma](double from, double x0) {
      return step.next.alpha * x0 + step.next.sigma * (from - a * x0) / s;
    };
    const auto ideal = [a = alpha, s = sigma](double from) { return a * from / (a * a + s * s); };
    x = ddim(x, ideal(x));
    y = ddim(y, ideal(y) + c);
  }
  const auto losses = estimated_losses(trajectory, 2, {pair});
  double sum = 0;
  for (const auto& of_step : losses) {
    sum += of_step[0];
    EXPECT_EQ(of_step[1], 0);
  }
  EXPECT_NEAR(sum, std::abs(x - y), 0.02 * sum);  // the steps are finite, the shrinking is of the limit
}

TEST(EstimatedLosses, AreExactForStandardNormalLatents) {
  std::vector<NoiseLevel> levels;
  constexpr int kSteps = 400;
  for (int i = 0; i <= kSteps; ++i) {
    const double angle = 1.5 * (1 - static_cast<double>(i) / kSteps);
    levels.push_back(
        {.t = static_cast<double>(kSteps - i), .alpha = std::cos(angle), .sigma = std::sin(angle)});
  }
  expect_exact_losses(levels);
}

// Of a rectified flow the first level is noise alone: alpha 0.
TEST(EstimatedLosses, AreThereForRectifiedFlows) {
  std::vector<NoiseLevel> levels;
  constexpr int kSteps = 400;
  for (int i = 0; i <= kSteps; ++i) {
    const double sigma = 1 - static_cast<double>(i) / kSteps;
    levels.push_back({.t = 1000 * sigma, .alpha = 1 - sigma, .sigma = sigma});
  }
  expect_exact_losses(levels);
}

TEST(Candidates, LieBetweenTheMeasuredShares) {
  Curve curve{.models = {"small", "large"}, .cfg_scale = 1, .measured = "", .points = {}};
  for (const int small : {0, 4, 10})
    curve.points.push_back({.kind = "share",
                            .label = std::to_string(small),
                            .fractions = {},
                            .sampler = "ddim",
                            .steps_option = "10",
                            .steps = 10,
                            .assignment = small == 0    ? "1*10"
                                          : small == 10 ? "0*10"
                                                        : "0*4 1*6",
                            .evaluations = {small, 10 - small},
                            .runs = {},
                            .seconds_per_image = 0,
                            .mean = {{Metric::fid, 100.0 + small * small}},
                            .deviation = {{Metric::fid, 2.0}}});
  const auto all = candidates(curve, Metric::fid);
  ASSERT_EQ(all.size(), 11u);  // every number of small steps once
  for (const Candidate& c : all) {
    EXPECT_EQ(c.evaluations[0] + c.evaluations[1], 10);
    if (c.evaluations[0] != 1) continue;
    EXPECT_FALSE(c.measured);
    EXPECT_DOUBLE_EQ(c.metric, 104);  // between 100 and 116
    EXPECT_EQ(c.assignment, "0*1 1*9");
    EXPECT_NEAR(*c.deviation, 2 * std::hypot(0.75, 0.25), 1e-12);
  }
  EXPECT_TRUE(candidates(curve, Metric::recall).empty());
}

}  // namespace
}  // namespace tstitch
