#include "tstitch/draw/figure.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace tstitch {
namespace {

Image gray(int width, int height, uint8_t value) {
  return {.width = width,
          .height = height,
          .channels = 1,
          .pixels = std::vector<uint8_t>(static_cast<size_t>(width) * height, value)};
}

TEST(Figure, HoldsEveryPicture) {
  Figure figure{.title = "title", .row_labels = {"a", "b"}, .columns = {}};
  for (int i = 0; i < 3; ++i)
    figure.columns.push_back({"0.5", "1.00 s", {gray(28, 28, 77), gray(28, 28, 99)}});
  const Image image = draw(figure);
  EXPECT_EQ(std::ranges::count(image.pixels, 77), 3 * 84 * 84);
  EXPECT_EQ(std::ranges::count(image.pixels, 99), 3 * 84 * 84);
  EXPECT_GT(std::ranges::count(image.pixels, 0), 100);  // the labels
}

}  // namespace
}  // namespace tstitch
