#include "tstitch/diffusion/switch_rule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <string>

#include "tests/support/expect_error.h"
#include "tstitch/base/hash.h"
#include "tstitch/diffusion/respacing.h"

namespace tstitch {
namespace {

using testing::expect_error;
using Counts = std::vector<int>;

std::vector<double> dit_timesteps(const std::string& spec) {
  const std::vector<int> ascending = respaced_timesteps(spec, 1000);
  return {ascending.rbegin(), ascending.rend()};
}

// CompVis' "uniform" DDIM timesteps: every (1000 / steps)-th, plus one.
std::vector<double> ldm_timesteps(int steps) {
  std::vector<double> timesteps;
  for (int t = 0; t < 1000; t += 1000 / steps) timesteps.insert(timesteps.begin(), t + 1);
  return timesteps;
}

// How many of the steps each of two models serves is decided by the ratio; the rest of the rules do not look
// at t.
std::vector<double> any_timesteps(int steps) { return std::vector<double>(static_cast<size_t>(steps)); }

int small_steps(SwitchRule rule, double ratio, std::span<const double> timesteps) {
  const double fractions[] = {ratio, 1 - ratio};
  const std::vector<int> assignment = assign_steps(rule, fractions, timesteps, 1000);
  EXPECT_EQ(assignment.size(), timesteps.size());
  EXPECT_TRUE(std::ranges::is_sorted(assignment));  // once large, always large
  return static_cast<int>(std::ranges::count(assignment, 0));
}

// For the ratios 0, 0.1, ..., 1.
Counts small_steps(SwitchRule rule, std::span<const double> timesteps) {
  Counts counts;
  for (int k = 0; k <= 10; ++k) counts.push_back(small_steps(rule, k / 10.0, timesteps));
  return counts;
}

Counts multiples(int of) {
  Counts counts;
  for (int k = 0; k <= 10; ++k) counts.push_back(k * of);
  return counts;
}

// Steps per model.
Counts served(SwitchRule rule, std::vector<double> fractions, std::span<const double> timesteps) {
  Counts counts(fractions.size());
  for (const int model : assign_steps(rule, fractions, timesteps, 1000)) ++counts[model];
  return counts;
}

// ---- the counts of the reference implementation

TEST(SwitchRule, DitCounts) {
  EXPECT_EQ(small_steps(SwitchRule::dit, dit_timesteps("10")), multiples(1));
  EXPECT_EQ(small_steps(SwitchRule::dit, dit_timesteps("20")), multiples(2));
  EXPECT_EQ(small_steps(SwitchRule::dit, dit_timesteps("25")),
            (Counts{0, 3, 5, 8, 10, 13, 15, 17, 20, 22, 25}));
  EXPECT_EQ(small_steps(SwitchRule::dit, dit_timesteps("50")), multiples(5));
  EXPECT_EQ(small_steps(SwitchRule::dit, dit_timesteps("100")), multiples(10));
  EXPECT_EQ(small_steps(SwitchRule::dit, dit_timesteps("250")), multiples(25));
  Counts thousand = multiples(100);
  thousand[7] = 699;  // 1 - 0.7 = 0.30000000000000004 > 300 / 1000
  EXPECT_EQ(small_steps(SwitchRule::dit, dit_timesteps("1000")), thousand);
}

TEST(SwitchRule, LdmCounts) {
  for (const int steps : {10, 20, 50, 100, 200, 250})
    EXPECT_EQ(small_steps(SwitchRule::ldm, ldm_timesteps(steps)), multiples(steps / 10)) << steps;
  EXPECT_EQ(small_steps(SwitchRule::ldm, ldm_timesteps(25)),
            (Counts{0, 2, 5, 7, 10, 12, 15, 17, 20, 22, 25}));
  EXPECT_EQ(ldm_timesteps(64).size(), 67u);
  EXPECT_EQ(small_steps(SwitchRule::ldm, ldm_timesteps(64)),
            (Counts{0, 7, 13, 20, 27, 33, 40, 47, 53, 60, 67}));
}

TEST(SwitchRule, LdmIsStrictWhereDitIsNot) {
  const std::vector<double> timesteps = {600, 500, 400};
  EXPECT_EQ(small_steps(SwitchRule::dit, 0.5, timesteps), 2);
  EXPECT_EQ(small_steps(SwitchRule::ldm, 0.5, timesteps), 1);
  EXPECT_EQ(small_steps(SwitchRule::ldm, 1, std::vector<double>{1, 0}), 2);
}

// PNDM calls the network once more than it has steps.
TEST(SwitchRule, StableDiffusionCounts) {
  EXPECT_EQ(small_steps(SwitchRule::step, any_timesteps(51)),
            (Counts{0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 51}));
  EXPECT_EQ(small_steps(SwitchRule::step, any_timesteps(26)),
            (Counts{0, 2, 5, 7, 10, 13, 15, 18, 20, 23, 26}));
  EXPECT_EQ(small_steps(SwitchRule::step, any_timesteps(21)),
            (Counts{0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 21}));
}

TEST(SwitchRule, SdxlCounts) {
  EXPECT_EQ(small_steps(SwitchRule::step, any_timesteps(50)), multiples(5));
  EXPECT_EQ(small_steps(SwitchRule::step, any_timesteps(25)),
            (Counts{0, 2, 5, 7, 10, 12, 15, 17, 20, 22, 25}));
}

// The reference's LCM demos run the SDXL pipeline, so its rule.
TEST(SwitchRule, LcmDemoCounts) {
  for (const int n : {1, 2, 4, 8})
    for (int k = 0; k <= n; ++k)
      EXPECT_EQ(small_steps(SwitchRule::step, static_cast<double>(k) / n, any_timesteps(n)), k)
          << k << " of " << n;
  EXPECT_EQ(small_steps(SwitchRule::step, any_timesteps(4)), (Counts{0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4}));
  EXPECT_EQ(small_steps(SwitchRule::step, any_timesteps(2)), (Counts{0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2}));
  EXPECT_EQ(small_steps(SwitchRule::step, any_timesteps(1)), (Counts{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}));
}

// Its LCM pipeline class, which no script uses, gives one step more.
TEST(SwitchRule, LcmClassCounts) {
  const std::vector<double> timesteps = any_timesteps(4);
  EXPECT_EQ(small_steps(SwitchRule::lcm, 0, timesteps), 0);
  EXPECT_EQ(small_steps(SwitchRule::lcm, 0.25, timesteps), 2);
  EXPECT_EQ(small_steps(SwitchRule::lcm, 0.5, timesteps), 3);
  EXPECT_EQ(small_steps(SwitchRule::lcm, 0.75, timesteps), 4);
  EXPECT_EQ(small_steps(SwitchRule::lcm, 1, timesteps), 4);
}

TEST(SwitchRule, MultiCounts) {
  const std::vector<double> hundred = dit_timesteps("100");
  EXPECT_EQ(served(SwitchRule::dit, {0.4, 0.2, 0.4}, hundred), (Counts{40, 20, 40}));
  EXPECT_EQ(served(SwitchRule::dit, {0.5, 0.3, 0.2}, hundred), (Counts{50, 30, 20}));
  EXPECT_EQ(served(SwitchRule::dit, {0, 0.5, 0.5}, hundred), (Counts{0, 50, 50}));
}

// FNV-1a over the assignments of all 66 triples of tenths at six step counts, one byte a step, from torch 2
// with torch.cumsum(torch.tensor(fractions), 0) and its comparison of a Python number with an f32 tensor.
TEST(SwitchRule, MultiAgreesWithTorchEverywhere) {
  uint64_t hash = fnv1a(nullptr, 0);
  for (const char* steps : {"10", "20", "50", "100", "250", "1000"}) {
    const std::vector<double> timesteps = dit_timesteps(steps);
    for (int a = 0; a <= 10; ++a)
      for (int b = 0; a + b <= 10; ++b) {
        const double fractions[] = {a / 10.0, b / 10.0, (10 - a - b) / 10.0};
        for (const int model : assign_steps(SwitchRule::dit, fractions, timesteps, 1000)) {
          const auto byte = static_cast<uint8_t>(model);
          hash = fnv1a(&byte, 1, hash);
        }
      }
  }
  EXPECT_EQ(hash, 0x803b136ba6cce681u);
}

// Every call counts as a step, wherever its timestep lies: the second of PNDM's comes twice, Karras' lie
// between the whole ones, and a rectified flow starts at T.
TEST(SwitchRule, TakesAnyTimesteps) {
  const std::vector<double> pndm = {981, 961, 961, 941, 921};
  EXPECT_EQ(small_steps(SwitchRule::step, 0.4, pndm), 2);
  EXPECT_EQ(small_steps(SwitchRule::dit, 0.04, pndm), 3);
  EXPECT_EQ(small_steps(SwitchRule::ldm, 0.04, pndm), 3);
  const std::vector<double> karras = {999, 600.1, 599.9, 123.4};
  EXPECT_EQ(small_steps(SwitchRule::dit, 0.4, karras), 2);
  EXPECT_EQ(small_steps(SwitchRule::dit, 0.4001, karras), 3);
  EXPECT_EQ(served(SwitchRule::dit, {0.4, 0.2, 0.4}, karras), (Counts{2, 1, 1}));
  EXPECT_EQ(small_steps(SwitchRule::dit, 0.5, std::vector<double>{1000, 500, 1}), 2);
}

// ---- what we add

TEST(SwitchRule, RoundIsThePaper) {
  EXPECT_EQ(small_steps(SwitchRule::round, any_timesteps(100)), multiples(10));
  EXPECT_EQ(small_steps(SwitchRule::round, any_timesteps(1000)), multiples(100));
  EXPECT_EQ(small_steps(SwitchRule::round, any_timesteps(4)), (Counts{0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4}));
  EXPECT_EQ(small_steps(SwitchRule::round, 0.5, any_timesteps(5)), 2);  // 2.5 and 3.5: ties to even
  EXPECT_EQ(small_steps(SwitchRule::round, 0.5, any_timesteps(7)), 4);
}

constexpr SwitchRule kAll[] = {SwitchRule::dit, SwitchRule::ldm, SwitchRule::step, SwitchRule::lcm,
                               SwitchRule::round};

TEST(SwitchRule, PureModelsAtTheEnds) {
  for (const SwitchRule rule : kAll)
    for (const char* steps : {"1", "2", "10", "1000"}) {
      const std::vector<double> timesteps = dit_timesteps(steps);
      const int n = static_cast<int>(timesteps.size());
      EXPECT_EQ(small_steps(rule, 0, timesteps), 0) << name_of(rule) << " " << steps;
      EXPECT_EQ(small_steps(rule, 1, timesteps), n) << name_of(rule) << " " << steps;
      EXPECT_EQ(served(rule, {1}, timesteps), Counts{n});
      EXPECT_EQ(served(rule, {0, 0, 1}, timesteps), (Counts{0, 0, n}));
      EXPECT_EQ(served(rule, {0, 1, 0}, timesteps), (Counts{0, n, 0}));
      EXPECT_EQ(served(rule, {1, 0, 0}, timesteps), (Counts{n, 0, 0}));
    }
}

TEST(SwitchRule, MoreModelsAreServedInOrder) {
  EXPECT_EQ(served(SwitchRule::ldm, {0.4, 0.2, 0.4}, ldm_timesteps(100)), (Counts{40, 20, 40}));
  EXPECT_EQ(served(SwitchRule::round, {0.25, 0.25, 0.25, 0.25}, any_timesteps(8)), (Counts{2, 2, 2, 2}));
  EXPECT_EQ(served(SwitchRule::step, {0.5, 0.25, 0.25}, any_timesteps(8)), (Counts{4, 2, 2}));
  for (const SwitchRule rule : kAll) {
    const double fractions[] = {0.3, 0, 0.3, 0.4};
    const std::vector<int> assignment = assign_steps(rule, fractions, dit_timesteps("50"), 1000);
    EXPECT_TRUE(std::ranges::is_sorted(assignment)) << name_of(rule);
    EXPECT_EQ(std::ranges::count(assignment, 1), 0) << name_of(rule);
  }
}

// Shares that miss 1 by rounding leave nothing unclaimed and give nothing to a model without a share.
TEST(SwitchRule, SharesThatMissOneSlightly) {
  for (const SwitchRule rule : kAll) {
    EXPECT_EQ(served(rule, {0.9999999, 0}, dit_timesteps("1000")), (Counts{1000, 0})) << name_of(rule);
    EXPECT_EQ(served(rule, {1, 5e-7}, dit_timesteps("1000")), (Counts{1000, 0})) << name_of(rule);
    EXPECT_EQ(served(rule, {0.3333333, 0.3333333, 0.3333333, 0}, dit_timesteps("1000"))[3], 0)
        << name_of(rule);
  }
}

TEST(SwitchRule, NamesAreParsed) {
  for (const SwitchRule rule : kAll) EXPECT_EQ(parse_switch_rule(name_of(rule)), rule);
  EXPECT_EQ(parse_switch_rule("DiT"), std::nullopt);
  EXPECT_EQ(parse_switch_rule(""), std::nullopt);
}

TEST(SwitchRule, RefusesBadFractions) {
  const std::vector<double> timesteps = any_timesteps(10);
  const auto refuses = [&](const std::string& part, std::vector<double> fractions) {
    for (const SwitchRule rule : kAll)
      expect_error(ErrorKind::usage, part, [&] { assign_steps(rule, fractions, timesteps, 1000); });
  };
  refuses("no fractions", {});
  refuses("fraction -0.1, expected 0 to 1", {-0.1, 1.1});
  refuses("fraction 1.5, expected 0 to 1", {1.5, -0.5});
  refuses("fraction nan", {std::numeric_limits<double>::quiet_NaN(), 1});
  refuses("add up to 0.9, expected 1", {0.4, 0.5});
  refuses("add up to 1.2, expected 1", {0.4, 0.4, 0.4});
  refuses("add up to 0, expected 1", {0, 0});
}

TEST(SwitchRule, RefusesTimestepsOutsideTheTraining) {
  const double fractions[] = {0.5, 0.5};
  expect_error(ErrorKind::internal, "timestep 1001 of 1000",
               [&] { assign_steps(SwitchRule::dit, fractions, std::vector<double>{1001}, 1000); });
}

TEST(AssignAt, SwitchesWhereItIsTold) {
  const auto at = [](std::vector<int> switch_steps, int steps) { return assign_at(switch_steps, steps); };
  EXPECT_EQ(at({2}, 5), (std::vector<int>{0, 0, 1, 1, 1}));
  EXPECT_EQ(at({1, 3}, 5), (std::vector<int>{0, 1, 1, 2, 2}));
  EXPECT_EQ(at({2, 2}, 4), (std::vector<int>{0, 0, 2, 2}));
  EXPECT_EQ(at({0}, 3), (std::vector<int>{1, 1, 1}));
  EXPECT_EQ(at({3}, 3), (std::vector<int>{0, 0, 0}));
  EXPECT_EQ(at({}, 3), (std::vector<int>{0, 0, 0}));
}

TEST(AssignAt, RefusesStepsOutOfOrder) {
  const auto refuses = [](const std::string& part, std::vector<int> switch_steps) {
    expect_error(ErrorKind::usage, part, [&] { assign_at(switch_steps, 5); });
  };
  refuses("switch at step 6, expected 0 to 5", {6});
  refuses("switch at step -1, expected 0 to 5", {-1});
  refuses("switch at step 2, expected 3 to 5", {3, 2});
}

}  // namespace
}  // namespace tstitch
