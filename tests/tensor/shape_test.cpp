#include "tstitch/tensor/shape.h"

#include <gtest/gtest.h>

#include <vector>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

TEST(Shape, CountsElements) {
  EXPECT_EQ(Shape().elements(), 1);
  EXPECT_EQ(Shape({2, 3, 4}).elements(), 24);
  EXPECT_EQ(Shape({2, 0, 4}).elements(), 0);
}

TEST(Shape, IndexesFromBothEnds) {
  const Shape shape{2, 3, 4};
  EXPECT_EQ(shape.rank(), 3);
  EXPECT_EQ(shape[0], 2);
  EXPECT_EQ(shape[-1], 4);
  EXPECT_EQ(shape[-3], 2);
}

TEST(Shape, ReplacesOneExtent) {
  const Shape shape{2, 3, 4};
  EXPECT_EQ(shape.with(0, 5), Shape({5, 3, 4}));
  EXPECT_EQ(shape.with(-1, 5), Shape({2, 3, 5}));
  EXPECT_EQ(shape, Shape({2, 3, 4}));
}

TEST(Shape, ComparesRankAndExtents) {
  EXPECT_EQ(Shape({2, 3}), Shape({2, 3}));
  EXPECT_FALSE(Shape({2, 3}) == Shape({3, 2}));
  EXPECT_FALSE(Shape({2, 3}) == Shape({2, 3, 1}));
  EXPECT_FALSE(Shape() == Shape({1}));
}

TEST(Shape, PrintsItself) {
  EXPECT_EQ(concat(Shape{2, 256, 1152}), "[2, 256, 1152]");
  EXPECT_EQ(concat(Shape()), "[]");
}

TEST(Shape, RefusesWhatItCannotHold) {
  EXPECT_NO_THROW(Shape({1, 2, 3, 4, 5, 6}));
  EXPECT_THROW(Shape({1, 2, 3, 4, 5, 6, 7}), Error);
  EXPECT_THROW(Shape({2, -1}), Error);
}

}  // namespace
}  // namespace tstitch
