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
  const Image grid = make_grid({gray(3, 4, 10), gray(3, 4, 20), gray(3, 4, 30)}, 2);
  EXPECT_EQ(grid.width, 2 + 2 * (3 + 2));
  EXPECT_EQ(grid.height, 2 + 2 * (4 + 2));
  EXPECT_EQ(grid.pixels[2 * grid.width + 2], 10);
  EXPECT_EQ(grid.pixels[2 * grid.width + 7], 20);
  EXPECT_EQ(grid.pixels[8 * grid.width + 2], 30);
  EXPECT_EQ(grid.pixels[8 * grid.width + 7], 0);
}

TEST(Grid, ColumnsFollowTheRun) {
  EXPECT_EQ(grid_columns(8, 1), 4);    // the reference's
  EXPECT_EQ(grid_columns(30, 3), 3);   // a class per row
  EXPECT_EQ(grid_columns(10, 10), 4);  // one class: a square
}

}  // namespace
}  // namespace tstitch
