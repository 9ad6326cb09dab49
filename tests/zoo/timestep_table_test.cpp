#include "tstitch/zoo/timestep_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace tstitch {
namespace {

// Two tables whose rows say of which pair they are.
class TimestepTableTest : public testing::Test {
 protected:
  struct Asked {
    double t;
    int64_t number;
    std::vector<double> ahead = {};
    double guidance = 1;
  };

  // Asks for these rows; each must get its own.
  void ask(const std::vector<Asked>& asked) {
    std::vector<Row> rows;
    std::vector<int64_t> numbers;
    for (const Asked& row : asked) {
      rows.push_back({.t = row.t, .condition = nullptr, .guidance = row.guidance, .ahead = row.ahead});
      numbers.push_back(row.number);
    }
    computed.clear();
    const auto found = table.find(rows, numbers, [&](std::span<const TimestepTable::Pair> pairs) {
      Tensor a({std::ssize(pairs), 3}, DType::f32), b({std::ssize(pairs), 1}, DType::f32);
      for (size_t i = 0; i < pairs.size(); ++i) {
        computed.push_back({pairs[i].t, numbers[pairs[i].row]});
        a.data<float>()[3 * i] = static_cast<float>(pairs[i].t);
        a.data<float>()[3 * i + 1] = static_cast<float>(numbers[pairs[i].row]);
        a.data<float>()[3 * i + 2] = static_cast<float>(rows[pairs[i].row].guidance);
        b.data<float>()[i] = -static_cast<float>(pairs[i].t);
      }
      return std::vector{a, b};
    });
    for (size_t n = 0; n < asked.size(); ++n) {
      const float* a = table.tables()[0].data<float>() + 3 * found[n];
      EXPECT_EQ(a[0], asked[n].t);
      EXPECT_EQ(a[1], asked[n].number);
      EXPECT_EQ(a[2], asked[n].guidance);
      EXPECT_EQ(table.tables()[1].data<float>()[found[n]], -asked[n].t);
    }
  }
  std::vector<double> steps(int count) const {
    std::vector<double> t(static_cast<size_t>(count));
    std::iota(t.rbegin(), t.rend(), 1);
    return t;  // count, ... 1
  }

  std::unique_ptr<Backend> backend = make_backend({.device = "reference", .dtype = "f32"});
  static constexpr int64_t kSlots = 64;
  TimestepTable table{*backend, TimestepTable::kMostBytes / kSlots};
  std::vector<std::pair<double, int64_t>> computed;  // by the last call, the padding too
};

TEST_F(TimestepTableTest, TellsScalesOfGuidanceApart) {
  ask({{500, 3, {500, 400}, 1}, {500, 3, {500, 400}, 7.5}, {500, 3, {}, 2}});
  ask({{400, 3, {}, 7.5}, {500, 3, {}, 1}, {400, 3, {}, 1}, {500, 3, {}, 7.5}});
  EXPECT_TRUE(computed.empty());
  ask({{400, 3, {}, 2}});
  EXPECT_FALSE(computed.empty());
}

TEST_F(TimestepTableTest, ComputesOnceWhatIsAskedAgain) {
  ask({{500, 3}});
  EXPECT_EQ(computed, (decltype(computed){{500, 3}}));
  ask({{500, 3}, {500, 3}});
  EXPECT_TRUE(computed.empty());
  ask({{500, 4}, {400, 3}, {500, 4}, {500, 3}});
  EXPECT_EQ(computed, (decltype(computed){{500, 4}, {400, 3}}));
}

TEST_F(TimestepTableTest, ComputesWhatLiesAheadAtOnce) {
  const std::vector<double> ahead = steps(8);
  ask({{8, 3, ahead}, {8, 5, ahead}});
  EXPECT_EQ(computed.size(), 16u);
  for (size_t i = 1; i < ahead.size(); ++i) {
    ask({{ahead[i], 3}, {ahead[i], 5}});
    EXPECT_TRUE(computed.empty()) << i;
  }
}

TEST_F(TimestepTableTest, ARowTakesItsShareOfTheSlots) {
  const std::vector<double> ahead = steps(100);
  ask({{100, 3, ahead}});
  EXPECT_EQ(computed.size(), 16u);  // a quarter, for another extent may want some
  size_t calls = 1;
  for (size_t i = 1; i < ahead.size(); ++i) {
    ask({{ahead[i], 3, {ahead.begin() + static_cast<int64_t>(i), ahead.end()}}});
    calls += !computed.empty();
  }
  EXPECT_EQ(calls, 7u);
}

// Evaluations of three extents, one after the other, each of four pairs.
TEST_F(TimestepTableTest, ExtentsThatTakeTurnsDoNotDriveEachOtherOut) {
  const std::vector<double> ahead = steps(40);
  size_t calls = 0;
  for (size_t i = 0; i < ahead.size(); ++i)
    for (int64_t extent = 0; extent < 3; ++extent) {
      const std::vector<double> left(ahead.begin() + static_cast<int64_t>(i), ahead.end());
      ask({{left[0], 4 * extent, left},
           {left[0], 4 * extent + 1, left},
           {left[0], 4 * extent + 2, left},
           {left[0], 4 * extent + 3, left}});
      calls += !computed.empty();
    }
  EXPECT_EQ(calls, 3 * ahead.size() / 4);
}

TEST_F(TimestepTableTest, ManyRowsOfOnePairNeedOneSlot) {
  ask({{5, 1}});
  ask(std::vector<Asked>(3 * kSlots, Asked{7, 2}));
  EXPECT_EQ(computed.size(), 1u);
  ask({{5, 1}});
  EXPECT_TRUE(computed.empty());
}

TEST_F(TimestepTableTest, AnErrorLeavesWhatWasThere) {
  ask({{5, 1}});
  const Row row{.t = 6, .condition = nullptr};
  const int64_t number = 1;
  EXPECT_THROW(table.find({&row, 1}, {&number, 1},
                          [](std::span<const TimestepTable::Pair>) -> std::vector<Tensor> {
                            throw std::runtime_error("none");
                          }),
               std::runtime_error);
  ask({{5, 1}});
  EXPECT_TRUE(computed.empty());
  ask({{6, 1}});
  EXPECT_EQ(computed.size(), 1u);
}

TEST_F(TimestepTableTest, RepeatedStepsAreComputedOnce) {
  ask({{9, 3, {9, 9, 8, 8, 8, 7}}});
  EXPECT_EQ(computed, (decltype(computed){{9, 3}, {8, 3}, {7, 3}, {7, 3}}));  // and one to pad
}

TEST_F(TimestepTableTest, TheOldestMakesWay) {
  for (int64_t number = 0; number < kSlots; ++number) ask({{1, number}});
  ask({{1, 0}});
  EXPECT_TRUE(computed.empty());
  ask({{2, 0}});  // in place of {1, 1}
  ask({{1, 0}, {1, 2}});
  EXPECT_TRUE(computed.empty());
  ask({{1, 1}});
  EXPECT_EQ(computed.size(), 1u);
}

TEST_F(TimestepTableTest, GrowsForAnEvaluationOfMoreRows) {
  std::vector<Asked> all;
  for (int64_t number = 0; number < 3 * kSlots; ++number) all.push_back({7, number, {7, 6, 5}});
  ask(all);
  EXPECT_EQ(computed.size(), all.size());
  ask(all);
  EXPECT_TRUE(computed.empty());
}

// Whatever is asked, in whatever company: `ask` checks every row.
TEST_F(TimestepTableTest, GivesEveryRowItsOwn) {
  uint32_t state = 1;
  const auto draw = [&](uint32_t below) { return (state = state * 1664525 + 1013904223) / 65536 % below; };
  for (int i = 0; i < 300; ++i) {
    std::vector<Asked> some(1 + draw(20));
    for (Asked& row : some) {
      row = {static_cast<double>(draw(30)), static_cast<int64_t>(draw(6)), {}};
      for (double t = row.t; t >= 0 && draw(4) > 0; --t) row.ahead.push_back(t);
    }
    ask(some);
  }
}

}  // namespace
}  // namespace tstitch
