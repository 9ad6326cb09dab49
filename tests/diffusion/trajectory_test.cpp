#include "tstitch/diffusion/trajectory.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"
#include "tstitch/diffusion/switch_rule.h"

namespace tstitch {
namespace {

using testing::expect_error;

std::vector<NoiseLevel> levels_of(int steps) {
  const NoiseSchedule schedule = NoiseSchedule::linear(1e-4, 2e-2, 1000);
  std::vector<int> timesteps;
  for (int i = steps; i-- > 0;) timesteps.push_back(i);
  return schedule.levels(timesteps);
}

Trajectory trajectory_of(const std::vector<int>& assignment) {
  return Trajectory(levels_of(static_cast<int>(assignment.size())), assignment);
}

std::string describe(const std::vector<int>& assignment, std::vector<std::string> names) {
  return trajectory_of(assignment).describe(names);
}

TEST(Trajectory, StepsLeadFromLevelToLevel) {
  const std::vector<NoiseLevel> levels = levels_of(4);
  const Trajectory trajectory(levels, std::vector<int>{0, 0, 1, 1});
  ASSERT_EQ(trajectory.size(), 4);
  int i = 0;
  for (const Step& step : trajectory) {
    EXPECT_EQ(step, trajectory[i]);
    EXPECT_EQ(step.index, i);
    EXPECT_EQ(step.level, levels[i]);
    EXPECT_EQ(step.next, levels[i + 1]);
    EXPECT_EQ(step.denoiser, i / 2);
    ++i;
  }
  EXPECT_EQ(trajectory[3].next, kClean);
}

TEST(Trajectory, CountsWhatEveryDenoiserServes) {
  const Trajectory trajectory = trajectory_of({0, 0, 2, 2, 2, 0});
  EXPECT_EQ(trajectory.assignment(), (std::vector<int>{0, 0, 2, 2, 2, 0}));
  EXPECT_EQ(trajectory.steps_of(0), 3);
  EXPECT_EQ(trajectory.steps_of(1), 0);
  EXPECT_EQ(trajectory.steps_of(2), 3);
  EXPECT_EQ(trajectory.segments(), (std::vector<Segment>{{0, 0, 2}, {2, 2, 3}, {0, 5, 1}}));
}

TEST(Trajectory, DescribesItself) {
  EXPECT_EQ(describe(assign_at(std::vector<int>{40}, 100), {"small", "large"}),
            "small: steps 1-40, large: 41-100");
  EXPECT_EQ(describe({0, 1, 1, 0}, {"a", "b"}), "a: step 1, b: 2-3, a: 4");
  EXPECT_EQ(describe({0}, {"a"}), "a: step 1");
}

TEST(Trajectory, SaysWhichModelsItDoesNotUse) {
  EXPECT_EQ(describe(std::vector<int>(100, 0), {"small", "large"}), "small: steps 1-100, large: no step");
  EXPECT_EQ(describe(std::vector<int>(10, 1), {"S", "B", "XL"}), "B: steps 1-10, S: no step, XL: no step");
}

TEST(Trajectory, ComparesLevelsAndAssignment) {
  EXPECT_EQ(trajectory_of({0, 1}), trajectory_of({0, 1}));
  EXPECT_FALSE(trajectory_of({0, 1}) == trajectory_of({0, 0}));
  EXPECT_FALSE(trajectory_of({0, 1}) == trajectory_of({0, 1, 1}));
  std::vector<NoiseLevel> levels = levels_of(2);
  levels[0].sigma += 1e-15;
  EXPECT_FALSE(trajectory_of({0, 1}) == Trajectory(levels, std::vector<int>{0, 1}));
}

TEST(Trajectory, RefusesWhatDoesNotFit) {
  expect_error(ErrorKind::usage, "without steps", [] { trajectory_of({}); });
  expect_error(ErrorKind::internal, "5 noise levels for 3 steps", [] {
    Trajectory(levels_of(4), std::vector<int>{0, 0, 0});
  });
  expect_error(ErrorKind::internal, "assigned to denoiser -1", [] { trajectory_of({0, -1}); });
  expect_error(ErrorKind::internal, "denoiser 1 has no name", [] { describe({0, 1}, {"only"}); });
}

TEST(Assignment, SurvivesTheRoundTripThroughText) {
  EXPECT_EQ(format_assignment(assign_at(std::vector<int>{40}, 100)), "0*40 1*60");
  for (const std::vector<int>& assignment :
       {std::vector<int>{0}, {3, 3, 3}, {0, 1, 0, 1}, {12, 0, 0, 7, 7, 7, 12}}) {
    const std::string text = format_assignment(assignment);
    EXPECT_EQ(parse_assignment(text, static_cast<int>(assignment.size())), assignment) << text;
  }
}

TEST(Assignment, ReadsShortForms) {
  EXPECT_EQ(parse_assignment("0 1", 2), (std::vector<int>{0, 1}));
  EXPECT_EQ(parse_assignment("  0*2   1 ", 3), (std::vector<int>{0, 0, 1}));
  EXPECT_EQ(parse_assignment("0*1 0*2", 3), (std::vector<int>{0, 0, 0}));
}

TEST(Assignment, RefusesGarbage) {
  for (const std::string text : {"x", "0*", "*3", "0*x", "0*0 1*3", "0*-3", "-1*3", "0x3", "0*1*2", "0,3",
                                 "0*3;", "99999999999*3", "0*99999999999"})
    expect_error(ErrorKind::usage, "assignment '" + text + "': found", [&] { parse_assignment(text, 3); });
  expect_error(ErrorKind::usage, "has 2 steps, expected 3", [] { parse_assignment("0*2", 3); });
  expect_error(ErrorKind::usage, "has 0 steps, expected 3", [] { parse_assignment("", 3); });
  expect_error(ErrorKind::usage, "has 4 steps, expected 3", [] { parse_assignment("0*2 1*2", 3); });
  expect_error(ErrorKind::usage, "has more than 1000000 steps", [] { parse_assignment("0*2000000000", 3); });
}

}  // namespace
}  // namespace tstitch
