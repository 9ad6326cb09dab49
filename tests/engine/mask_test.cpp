#include "tstitch/engine/mask.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "tests/support/expect_error.h"
#include "tests/support/golden.h"
#include "tstitch/engine/init_image.h"
#include "tstitch/io/picture.h"

namespace tstitch {
namespace {

Tensor mask_of(const Shape& hw, const std::vector<float>& shares) {
  Tensor mask(hw, DType::f32);
  std::ranges::copy(shares, mask.data<float>());
  return mask;
}

// scipy's Gaussian (tools/goldens/make_inpainting_goldens.py), of a part of that script's mask.
TEST(Mask, IsBlurredAsScipyDoes) {
  Tensor mask({12, 10}, DType::f32);
  for (int64_t i = 0; i < mask.elements(); ++i) mask.data<float>()[i] = i / 10 >= 5 && i % 10 >= 5 ? 1 : 0;
  EXPECT_LE(relative_error(blurred(mask, 3), golden("inpainting/blur.npy")), 1e-6);
  EXPECT_EQ(blurred(mask, 0).bytes(), mask.bytes());
  const Tensor wide = blurred(mask_of({1, 2}, {0, 1}), 8);  // the kernel is longer than the mask
  EXPECT_NEAR(wide.data<float>()[0] + wide.data<float>()[1], 1, 1e-2);
}

TEST(Mask, OfALatentTheFirstPixelCounts) {
  const Tensor places = latent_mask(mask_of({2, 4}, {0.25f, 1, 0, 1, 1, 1, 1, 1}), 2);
  ASSERT_EQ(places.shape(), Shape({1, 2}));
  EXPECT_EQ(places.data<float>()[0], 0.25f);
  EXPECT_EQ(places.data<float>()[1], 0);
}

TEST(Mask, NetworksSeeItCutAtOneHalf) {
  const Tensor mask = mask_of({2, 2}, {0.4f, 0.6f, 0.5f, 0});
  Tensor picture({3, 2, 2}, DType::f32);
  for (int64_t i = 0; i < 12; ++i) picture.data<float>()[i] = 0.1f * static_cast<float>(1 + i);
  const Tensor rest = without_hole(picture, mask);
  for (int64_t i = 0; i < 12; ++i)
    EXPECT_EQ(rest.data<float>()[i], i % 4 == 1 || i % 4 == 2 ? 0 : picture.data<float>()[i]);

  Tensor latent({1, 2, 2, 2}, DType::f32);
  for (int64_t i = 0; i < 8; ++i) latent.data<float>()[i] = static_cast<float>(i + 1);
  const Tensor beside = beside_latent(latent, mask);
  ASSERT_EQ(beside.shape(), Shape({2, 2, 3}));
  const std::vector<float> expected = {0, 1, 5, 1, 2, 6, 1, 3, 7, 0, 4, 8};
  EXPECT_EQ(std::vector<float>(beside.data<float>(), beside.data<float>() + 12), expected);
}

TEST(Mask, WhatIsKnownIsPutBackIntoPictures) {
  Tensor known({1, 1, 3}, DType::f32);
  for (const int i : {0, 1, 2}) known.data<float>()[i] = static_cast<float>(100 / 127.5 - 1);
  std::vector<Image> images = {{.width = 3, .height = 1, .channels = 1, .pixels = {7, 7, 7}}};
  keep_known(images, known, mask_of({1, 3}, {0, 1, 0.5f}));
  EXPECT_EQ(images[0].pixels, (std::vector<uint8_t>{100, 7, 54}));
}

class MaskFile : public ::testing::Test {
 protected:
  MaskFile() : path_(std::filesystem::temp_directory_path() / ("tstitch_mask_" + std::to_string(getpid()))) {}
  ~MaskFile() override { std::filesystem::remove(path_); }
  Tensor read(const Image& drawn, const Image& picture, int64_t width, int64_t height) {
    write_png(path_.string(), drawn, {});
    return make_mask(read_picture(path_.string()), path_.string(), picture,
                     Tensor({1, height, width}, DType::f32));
  }
  std::filesystem::path path_;
};

TEST_F(MaskFile, IsCutAndScaledAsThePicture) {
  Image drawn{.width = 4, .height = 2, .channels = 1, .pixels = {255, 0, 51, 255, 255, 255, 0, 255}};
  const Tensor whole = read(drawn, drawn, 4, 2);
  EXPECT_EQ(std::vector<float>(whole.data<float>(), whole.data<float>() + 8),
            (std::vector<float>{1, 0, 0.2f, 1, 1, 1, 0, 1}));
  const Tensor middle = read(drawn, drawn, 2, 2);
  EXPECT_EQ(std::vector<float>(middle.data<float>(), middle.data<float>() + 4),
            (std::vector<float>{0, 0.2f, 1, 0}));
  // Colours are gray.
  const Image colours{.width = 2, .height = 1, .channels = 3, .pixels = {255, 255, 255, 255, 0, 0}};
  const Tensor gray = read(colours, colours, 2, 1);
  EXPECT_EQ(gray.data<float>()[0], 1);
  EXPECT_NEAR(gray.data<float>()[1], 0.299, 1e-6);
}

TEST_F(MaskFile, OfAnotherSizeIsRefused) {
  const Image drawn{.width = 2, .height = 1, .channels = 1, .pixels = {255, 0}},
      picture{.width = 1, .height = 2, .channels = 1, .pixels = {255, 0}};
  testing::expect_error(ErrorKind::usage, "is 2 x 1, expected 1 x 2 as the initial picture",
                        [&] { read(drawn, picture, 1, 2); });
}

}  // namespace
}  // namespace tstitch
