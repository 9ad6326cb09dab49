#include "tstitch/base/join.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace tstitch {
namespace {

TEST(Join, PutsSeparatorsBetweenItems) {
  EXPECT_EQ(join(std::vector<int>{}), "");
  EXPECT_EQ(join(std::vector<int>{7}), "7");
  EXPECT_EQ(join(std::vector<std::string>{"", "b", ""}, " > "), " > b > ");
  EXPECT_EQ(
      join(std::vector<std::pair<int, double>>{{1, 0.5}, {2, 0.25}}, ", ", &std::pair<int, double>::second),
      "0.5, 0.25");
}

}  // namespace
}  // namespace tstitch
