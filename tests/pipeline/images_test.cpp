#include "tstitch/pipeline/images.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tstitch/pipeline/figure.h"

namespace tstitch {
namespace {

Image gray(int width, int height, uint8_t value) {
  return {.width = width,
          .height = height,
          .channels = 1,
          .pixels = std::vector<uint8_t>(static_cast<size_t>(width) * height, value)};
}

TEST(DecodePixels, MapsAsTheReferenceDoes) {
  // clamp(127.5 x + 128, 0, 255), truncated.
  const std::vector<float> x = {-1, 1, 0, -2, 2, 0.5f};
  const auto images = decode_pixels(make_tensor<float>({1, 1, 2, 3}, x));
  ASSERT_EQ(images.size(), 1u);
  EXPECT_EQ(images[0].pixels, (std::vector<uint8_t>{0, 255, 128, 0, 255, 191}));
}

TEST(DecodePixels, ChannelsComeLast) {
  const std::vector<float> x = {-1, -1, 0, 0, 1, 1};  // (1, 3, 1, 2)
  const auto images = decode_pixels(make_tensor<float>({1, 3, 1, 2}, x));
  EXPECT_EQ(images[0].pixels, (std::vector<uint8_t>{0, 128, 255, 0, 128, 255}));
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
