#include "tstitch/tune/sweep_points.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "tstitch/base/error.h"
#include "tstitch/zoo/assets.h"
#include "tstitch/zoo/model.h"

namespace tstitch {
namespace {

TEST(Simplex, HoldsEveryWayToShareOnce) {
  EXPECT_EQ(simplex(2, 4),
            (std::vector<std::vector<double>>{{0, 1}, {0.25, 0.75}, {0.5, 0.5}, {0.75, 0.25}, {1, 0}}));
  const auto three = simplex(3, 5);
  EXPECT_EQ(three.size(), 21u);
  EXPECT_EQ(std::set(three.begin(), three.end()).size(), 21u);
  for (const auto& shares : three) EXPECT_NEAR(std::accumulate(shares.begin(), shares.end(), 0.0), 1, 1e-12);
  EXPECT_EQ(simplex(1, 3), (std::vector<std::vector<double>>{{1}}));
  EXPECT_THROW(simplex(2, 0), Error);
  EXPECT_THROW(simplex(6, 100), Error);
}

class Orders : public testing::Test {
 protected:
  std::vector<std::vector<int>> assignments(double ratio, const std::string& steps, uint64_t seed = 0) const {
    std::vector<std::vector<int>> all;
    const SampleOptions options = {.fractions = {ratio, 1 - ratio}, .steps = steps, .seed = seed};
    for (const SweepPoint& point : order_points(models_, options)) all.push_back(point.options.assignment);
    return all;
  }
  const std::vector<ModelInfo> models_ = read_model_infos(builtin_models());
};

TEST_F(Orders, ShareTheSameNumberOfSteps) {
  const auto all = assignments(0.4, "10");
  ASSERT_EQ(all.size(), 4u);
  for (const auto& assignment : all) EXPECT_EQ(std::accumulate(assignment.begin(), assignment.end(), 0), 6);
  EXPECT_EQ(all[0], (std::vector<int>{0, 0, 0, 0, 1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(all[1], (std::vector<int>{1, 1, 1, 1, 1, 1, 0, 0, 0, 0}));
  EXPECT_EQ(all[2], (std::vector<int>{1, 1, 0, 1, 0, 1, 1, 0, 1, 0}));
  for (const auto& assignment : assignments(0, "5")) EXPECT_EQ(assignment, std::vector<int>(5, 1));
  for (const auto& assignment : assignments(1, "5")) EXPECT_EQ(assignment, std::vector<int>(5, 0));
}

// Over many seeds the chance of a step falls from the first to the last.
TEST_F(Orders, TheSmallModelServesEverLessProbably) {
  std::vector<int> small(10, 0);
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const auto assignment = assignments(0.5, "10", seed)[3];
    for (size_t i = 0; i < 10; ++i) small[i] += assignment[i] == 0;
  }
  EXPECT_GT(small[0], 210);
  EXPECT_LT(small[9], 60);
  for (size_t i = 0; i + 2 < 10; ++i) EXPECT_GT(small[i] + 20, small[i + 2]) << i;
  EXPECT_EQ(assignments(0.5, "10", 7)[3], assignments(0.5, "10", 7)[3]);
}

TEST_F(Orders, AreOfTwoModels) { EXPECT_THROW(order_points({models_[0]}, {}), Error); }

TEST_F(Orders, FewerStepsAreOfTheLastModel) {
  const std::vector<std::string> counts = {"5", "7"};
  const auto points = step_points(models_, {}, counts);
  ASSERT_EQ(points.size(), 2u);
  const RunSpec spec = make_run_spec(models_, points[1].options);
  EXPECT_EQ(spec.trajectory.assignment(), std::vector<int>(7, 1));
  EXPECT_EQ(points[1].label, "7 steps");
}

}  // namespace
}  // namespace tstitch
