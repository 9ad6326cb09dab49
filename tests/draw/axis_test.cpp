#include "tstitch/draw/axis.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tstitch {
namespace {

std::vector<std::string> labels(const Axis& axis, int count) {
  std::vector<std::string> labels;
  for (const Tick& tick : axis.ticks(count))
    if (!tick.label.empty()) labels.push_back(tick.label);
  return labels;
}

using Labels = std::vector<std::string>;

TEST(Axis, TicksAreOneTwoOrFiveApart) {
  EXPECT_EQ(labels(Axis(0, 1, false), 10), (Labels{"0", "0.2", "0.4", "0.6", "0.8", "1.0"}));
  EXPECT_EQ(labels(Axis(0, 10, false), 5), (Labels{"0", "5", "10"}));
  EXPECT_EQ(labels(Axis(0, 10, false), 6), (Labels{"0", "2", "4", "6", "8", "10"}));
  EXPECT_EQ(labels(Axis(-30, 40, false), 8), (Labels{"−30", "−20", "−10", "0", "10", "20", "30", "40"}));
  EXPECT_EQ(labels(Axis(0, 3e6, false), 4), (Labels{"0", "10⁶", "2·10⁶", "3·10⁶"}));
  EXPECT_EQ(labels(Axis(0, 3e-7, false), 4), (Labels{"0", "10⁻⁷", "2·10⁻⁷", "3·10⁻⁷"}));
}

TEST(Axis, LogarithmicTicksArePowersOfTenOrBetween) {
  EXPECT_EQ(labels(Axis(1, 100, true), 8), (Labels{"1", "2", "5", "10", "20", "50", "100"}));
  EXPECT_EQ(labels(Axis(0.1, 1000, true), 8), (Labels{"0.1", "1", "10", "100", "1000"}));
  EXPECT_EQ(labels(Axis(1, 1e8, true), 5), (Labels{"10⁰", "10²", "10⁴", "10⁶", "10⁸"}));
  EXPECT_EQ(labels(Axis(20, 30, true), 6), (Labels{"20", "22", "24", "26", "28", "30"}));
  EXPECT_EQ(Axis(1, 100, true).ticks(8).front().label, "");  // the fine line of 0.8
}

TEST(Axis, PlacesTheRangeWithinItself) {
  for (const bool logarithmic : {false, true}) {
    const Axis axis(2, 32, logarithmic);
    EXPECT_GT(axis.place(2), 0);
    EXPECT_LT(axis.place(32), 1);
    EXPECT_DOUBLE_EQ(axis.place(logarithmic ? 8 : 17), 0.5);
    for (const Tick& tick : axis.ticks(6)) {
      EXPECT_GE(axis.place(tick.value), 0);
      EXPECT_LE(axis.place(tick.value), 1);
    }
  }
}

TEST(Axis, ASingleValueIsInTheMiddle) {
  for (const double value : {0.0, 7.0, -3.5, 1e-90, 1e99}) {
    const Axis axis(value, value, false);
    EXPECT_NEAR(axis.place(value), 0.5, 1e-9);
    EXPECT_GE(axis.ticks(6).size(), 2u) << value;
  }
  const Axis axis(5, 5, true);
  EXPECT_DOUBLE_EQ(axis.place(5), 0.5);
  EXPECT_GE(axis.ticks(6).size(), 2u);
  EXPECT_NEAR(Axis(1e9, 1e9 + 1e-6, false).place(1e9), 0.5, 1e-6);  // as good as single
}

// Whatever the range, ticks are few, in it, and have different labels.
TEST(Axis, ExtremeRangesHaveFewTicks) {
  const double values[] = {-1e100, -1e5, -1, -1e-100, 0, 1e-100, 1e-9, 1, 1 + 1e-8, 2, 999, 1e5, 1e16, 1e100};
  for (const double low : values)
    for (const double high : values)
      for (const bool logarithmic : {false, true}) {
        if (low > high || (logarithmic && low <= 0)) continue;
        SCOPED_TRACE(testing::Message() << low << " ... " << high << (logarithmic ? " logarithmic" : ""));
        const Axis axis(low, high, logarithmic);
        std::vector<std::string> seen = labels(axis, 7);
        EXPECT_GE(seen.size(), 1u);
        EXPECT_LE(seen.size(), 8u);
        std::sort(seen.begin(), seen.end());
        EXPECT_EQ(std::unique(seen.begin(), seen.end()), seen.end());
      }
}

}  // namespace
}  // namespace tstitch
