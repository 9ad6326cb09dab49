#include "tstitch/draw/bitmap_font.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace tstitch {
namespace {

Image blank(int width, int height, int channels = 1) {
  return {.width = width,
          .height = height,
          .channels = channels,
          .pixels = std::vector<uint8_t>(static_cast<size_t>(width) * height * channels, 255)};
}

std::vector<uint8_t> drawn(const std::string& text) {
  Image image = blank(12, text_height(1));
  draw_text(image, 0, 0, text, 1, 0);
  return image.pixels;
}

TEST(BitmapFont, EveryCharacterIsDifferent) {
  std::set<std::string> pictures;  // of vectors GCC 12 warns about a comparison in its own library
  for (char c = ' '; c <= '~'; ++c) {
    const std::vector<uint8_t> picture = drawn({c});
    pictures.emplace(picture.begin(), picture.end());
  }
  EXPECT_EQ(pictures.size(), 95u);
}

TEST(BitmapFont, Sizes) {
  EXPECT_EQ(text_width("", 2), 0);
  EXPECT_EQ(text_width("a", 1), 5);
  EXPECT_EQ(text_width("ab", 3), 33);
  EXPECT_EQ(text_width("\xc3\xa4", 1), 5);
  EXPECT_EQ(text_height(2), 18);
}

TEST(BitmapFont, WhatIsNotAsciiIsAQuestionMark) {
  EXPECT_EQ(drawn("\xc3\xa4"), drawn("?"));
  EXPECT_EQ(drawn("\n"), drawn("?"));
}

TEST(BitmapFont, ScalesToSquares) {
  Image image = blank(3 * 5, 3 * 9, 3);
  draw_text(image, 0, 0, "-", 3, 7);
  EXPECT_EQ(std::ranges::count(image.pixels, 7), 5 * 9 * 3);
}

TEST(BitmapFont, CutsWhatIsOutside) {
  for (const int x : {-1000, -3, 0, 5, 1000, -2'000'000'000, 2'000'000'000})
    for (const int y : {-1000, -3, 0, 5, 1000}) {
      Image image = blank(8, 8);
      draw_text(image, x, y, "Mg", 2, 0);
      EXPECT_EQ(image.pixels.size(), 64u);
    }
}

}  // namespace
}  // namespace tstitch
