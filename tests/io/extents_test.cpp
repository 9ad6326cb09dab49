#include "tstitch/io/extents.h"

#include <gtest/gtest.h>

#include <vector>

namespace tstitch {
namespace {

using Extents = std::vector<int64_t>;
constexpr int64_t kLarge = int64_t{1} << 62;

TEST(Extents, ProductsThatFit) {
  EXPECT_EQ(checked_elements(Extents{}), 1);
  EXPECT_EQ(checked_elements(Extents{2, 3}), 6);
  EXPECT_EQ(checked_elements(Extents{0, 3}), 0);
  EXPECT_EQ(checked_elements(Extents{INT64_MAX, 1, 1}), INT64_MAX);
}

TEST(Extents, ProductsThatDoNot) {
  EXPECT_EQ(checked_elements(Extents{kLarge, 2}), std::nullopt);
  EXPECT_EQ(checked_elements(Extents{kLarge, kLarge, 0}), std::nullopt);
  EXPECT_EQ(checked_elements(Extents{0, kLarge, kLarge}), std::nullopt);
}

TEST(Extents, Text) {
  EXPECT_EQ(extents_text(Extents{}), "[]");
  EXPECT_EQ(extents_text(Extents{2, 3}), "[2, 3]");
  EXPECT_EQ(extents_text(Extents(9, 1)), "[1, 1, 1, 1, 1, 1, 1, 1, ...]");
}

}  // namespace
}  // namespace tstitch
