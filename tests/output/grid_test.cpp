#include "tstitch/output/grid.h"

#include <gtest/gtest.h>

namespace tstitch {
namespace {

Image gray(int width, int height, uint8_t value) {
  return {.width = width,
          .height = height,
          .channels = 1,
          .pixels = std::vector<uint8_t>(static_cast<size_t>(width) * height, value)};
}

TEST(Grid, LastRowMayBeShort) {
  const Image grid = make_grid({gray(90, 100, 10), gray(90, 100, 20), gray(90, 100, 30)}, 2);
  EXPECT_EQ(grid.width, 2 + 2 * (90 + 2));
  EXPECT_EQ(grid.height, 2 + 2 * (100 + 2));
  EXPECT_EQ(grid.pixels[2 * grid.width + 2], 10);
  EXPECT_EQ(grid.pixels[2 * grid.width + 94], 20);
  EXPECT_EQ(grid.pixels[104 * grid.width + 2], 30);
  EXPECT_EQ(grid.pixels[104 * grid.width + 94], 0);
}

// By a whole factor: every pixel stays one.
TEST(Grid, SmallPicturesAreEnlarged) {
  Image picture = gray(28, 28, 10);
  picture.pixels[1] = 99;
  const Image grid = make_grid({picture, picture}, 2);
  EXPECT_EQ(grid.width, 2 + 2 * (84 + 2));
  EXPECT_EQ(grid.height, 2 + 84 + 2);
  for (int x = 0; x < 84; ++x)
    EXPECT_EQ(grid.pixels[(2 + 2) * grid.width + 2 + x], 3 <= x && x < 6 ? 99 : 10) << x;
  EXPECT_EQ(grid.pixels[(2 + 3) * grid.width + 2 + 4], 10);
}

TEST(Grid, ColumnsFollowTheRun) {
  EXPECT_EQ(grid_columns(8, 1), 4);    // the reference's
  EXPECT_EQ(grid_columns(30, 3), 3);   // a class per row
  EXPECT_EQ(grid_columns(10, 10), 4);  // one class: a square
}

}  // namespace
}  // namespace tstitch
