#include "tstitch/base/checked.h"

#include <gtest/gtest.h>

#include <limits>

namespace tstitch {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

TEST(Checked, GivesResultsThatFit) {
  EXPECT_EQ(checked_mul(1 << 20, 1 << 20), int64_t{1} << 40);
  EXPECT_EQ(checked_mul(kMax, 1), kMax);
  EXPECT_EQ(checked_mul(kMax, 0), 0);
  EXPECT_EQ(checked_add(kMax - 1, 1), kMax);
  EXPECT_EQ(checked_add(-5, 3), -2);
}

TEST(Checked, GivesNothingOnOverflow) {
  EXPECT_FALSE(checked_mul(int64_t{1} << 32, int64_t{1} << 31).has_value());
  EXPECT_FALSE(checked_mul(kMax, -2).has_value());
  EXPECT_FALSE(checked_add(kMax, 1).has_value());
  EXPECT_FALSE(checked_add(-kMax, -2).has_value());
}

}  // namespace
}  // namespace tstitch
