#include "tstitch/engine/pixels.h"

#include <gtest/gtest.h>

namespace tstitch {
namespace {

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

}  // namespace
}  // namespace tstitch
