#include "tstitch/tune/choose.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tstitch/base/error.h"
#include "tstitch/nn/random_weights.h"

namespace tstitch {
namespace {

double uniform(const std::string& name, size_t index, uint64_t seed) {
  return 2 + random_uniform(concat(name, index), {1}, 1, seed).data<float>()[0];
}

// Forms of 1, 1 and 3 ages or, with_ages, of 2, 1 and 3; steps of one evaluation, or some of two.
StepCosts random_costs(size_t steps, size_t forms, uint64_t seed, bool with_ages = false) {
  StepCosts costs;
  for (size_t s = 0; s < steps; ++s) costs.evaluations.push_back(with_ages && s % 3 == 1 ? 2 : 1);
  for (size_t f = 0; f < forms; ++f) {
    const int64_t ages[] = {2, 1, 3};
    FormCosts& form = costs.forms.emplace_back();
    form.ages = with_ages ? ages[f] : 1;
    for (size_t s = 0; s < steps; ++s) {
      form.seconds.emplace_back();
      form.loss.emplace_back();
      for (size_t age = 0; age < static_cast<size_t>(form.ages); ++age) {
        const size_t index = (f * steps + s) * 3 + age;
        form.seconds.back().push_back(uniform("seconds", index, seed));
        form.loss.back().push_back(uniform("loss", index, seed));
      }
    }
  }
  return costs;
}

// All assignments, one after the other, each counted by hand.
std::vector<Assigned> brute_force(const StepCosts& costs, bool ordered) {
  const size_t steps = costs.evaluations.size(), forms = costs.forms.size();
  std::vector<Assigned> all;
  for (size_t code = 0; code < static_cast<size_t>(std::pow(forms, steps)); ++code) {
    Assigned one;
    size_t rest = code, since = 0;  // evaluations of the stage
    for (size_t s = 0; s < steps; ++s, rest /= forms) {
      const size_t f = rest % forms;
      if (s > 0 && one.assignment.back() != static_cast<int>(f)) {
        since = 0;
        one.price += costs.switch_price;
      }
      const FormCosts& form = costs.forms[f];
      one.assignment.push_back(static_cast<int>(f));
      one.seconds += form.seconds[s][since % static_cast<size_t>(form.ages)];
      one.loss += form.loss[s][since % static_cast<size_t>(form.ages)];
      since += static_cast<size_t>(costs.evaluations[s]);
    }
    if (!ordered || std::ranges::is_sorted(one.assignment)) all.push_back(one);
  }
  std::vector<Assigned> best;
  std::ranges::sort(all, {}, &Assigned::seconds);
  for (const Assigned& one : all)
    if (best.empty() || one.loss + one.price < best.back().loss + best.back().price) best.push_back(one);
  return best;
}

void expect_best(const StepCosts& costs, bool ordered) {
  const auto found = best_assignments(costs, ordered), expected = brute_force(costs, ordered);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].assignment, expected[i].assignment);
    EXPECT_NEAR(found[i].seconds, expected[i].seconds, 1e-9);
    EXPECT_NEAR(found[i].loss, expected[i].loss, 1e-9);
    EXPECT_NEAR(found[i].price, expected[i].price, 1e-9);
    const Assigned again = with_costs(costs, found[i].assignment);
    EXPECT_NEAR(again.seconds, found[i].seconds, 1e-9);
    EXPECT_NEAR(again.loss, found[i].loss, 1e-9);
    EXPECT_NEAR(again.price, found[i].price, 1e-9);
  }
}

TEST(BestAssignments, AreThoseOfTryingAll) {
  for (const size_t forms : {1u, 2u, 3u})
    for (const bool ordered : {true, false})
      for (const bool with_ages : {false, true})
        for (const double price : {0.0, 0.3})
          for (uint64_t seed = 0; seed < 6; ++seed) {
            SCOPED_TRACE(concat(forms, " ", ordered, " ", with_ages, " ", price, " ", seed));
            StepCosts costs = random_costs(7, forms, seed, with_ages);
            costs.switch_price = price;
            expect_best(costs, ordered);
          }
}

// Where there are too many to keep all, what is found is as good as what there is for a little less time.
TEST(BestAssignments, ThinnedOutAreHardlyWorse) {
  constexpr size_t kKept = 16;
  StepCosts costs = random_costs(11, 3, 4, true);
  costs.switch_price = 0.01;
  const auto all = brute_force(costs, false);
  const auto some = best_assignments(costs, false, kKept);
  ASSERT_GT(all.size(), kKept);
  const double span = (all.back().seconds - all.front().seconds) / kKept;
  for (const Assigned& one : all) {
    const auto total = [](const Assigned& a) { return a.loss + a.price; };
    const auto found =
        std::ranges::find_if(some, [&](const Assigned& a) { return total(a) <= total(one) + 1e-9; });
    ASSERT_NE(found, some.end());
    EXPECT_LE(found->seconds, one.seconds + 3 * span);
  }
}

// A price makes stages of what would take turns.
TEST(BestAssignments, APriceKeepsStagesWhole) {
  StepCosts costs{.evaluations = std::vector<int>(20, 1), .forms = std::vector<FormCosts>(2)};
  for (int s = 0; s < 20; ++s) {
    costs.forms[0].seconds.push_back({1});
    costs.forms[0].loss.push_back({1 + 0.01 * (s % 2)});
    costs.forms[1].seconds.push_back({3});
    costs.forms[1].loss.push_back({0});
  }
  const auto most_switches = [&] {
    double most = 0;
    for (const Assigned& one : best_assignments(costs, false)) {
      double switches = 0;
      for (size_t s = 1; s < 20; ++s) switches += one.assignment[s] != one.assignment[s - 1];
      most = std::max(most, switches);
      EXPECT_NEAR(one.price, switches * costs.switch_price, 1e-12);
    }
    return most;
  };
  EXPECT_GT(most_switches(), 10);
  costs.switch_price = 0.2;
  EXPECT_LE(most_switches(), 2);
}

// With two costs and a loss that grows, stitching is what is best: a small prefix, of every length once.
TEST(BestAssignments, OfModelsThatDriftApartIsStitching) {
  StepCosts costs{.evaluations = std::vector<int>(50, 1), .forms = std::vector<FormCosts>(2)};
  for (int s = 0; s < 50; ++s) {
    costs.forms[0].seconds.push_back({1});
    costs.forms[0].loss.push_back({0.1 + s});
    costs.forms[1].seconds.push_back({10});
    costs.forms[1].loss.push_back({0});
  }
  for (const bool ordered : {true, false}) {
    const auto best = best_assignments(costs, ordered);
    ASSERT_EQ(best.size(), 51u);
    for (const Assigned& one : best) EXPECT_TRUE(std::ranges::is_sorted(one.assignment));
  }
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
