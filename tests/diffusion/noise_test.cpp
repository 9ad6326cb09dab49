#include "tstitch/diffusion/noise.h"

#include <gtest/gtest.h>

#include "tests/diffusion/exact_denoisers.h"
#include "tests/diffusion/expect_error.h"
#include "tstitch/base/philox.h"

namespace tstitch {
namespace {

using testing::backend;
using testing::expect_error;
using testing::tensor_of;
using testing::values_of;

const Shape kChw = {3, 5, 6};

TEST(PhiloxNoise, EveryNumberHasItsAddress) {
  const uint64_t seed = 0x123456789abcdef0, image = 0x0000000500000007;
  PhiloxNoise noise(backend(), seed, {image}, kChw);
  for (const int index : {-1, 0, 41}) {  // -1: the initial latent
    const Tensor x = index < 0 ? noise.initial() : noise.step(index);
    ASSERT_EQ(x.shape(), Shape({1, 5, 6, 3}));
    for (int64_t c = 0; c < 3; ++c)
      for (int64_t h = 0; h < 5; ++h)
        for (int64_t w = 0; w < 6; ++w) {
          const auto e = static_cast<uint32_t>((c * 5 + h) * 6 + w);
          const auto block = philox({e / 4, static_cast<uint32_t>(1 + index), 7, 5}, seed);
          ASSERT_EQ(x.data<float>()[(h * 6 + w) * 3 + c], philox_normal(block)[e % 4]);
        }
  }
}

TEST(PhiloxNoise, DoesNotDependOnTheBatch) {
  PhiloxNoise together(backend(), 1, {0, 1, 2, 3, 4, 5, 6, 7}, kChw);
  for (uint64_t image = 0; image < 8; ++image) {
    PhiloxNoise alone(backend(), 1, {image}, kChw);
    const auto row = static_cast<int64_t>(image);
    EXPECT_EQ(values_of(alone.initial()), values_of(together.initial().slice(row, row + 1)));
    EXPECT_EQ(values_of(alone.step(3)), values_of(together.step(3).slice(row, row + 1)));
  }
}

TEST(PhiloxNoise, AskingTwiceGivesTheSame) {
  PhiloxNoise noise(backend(), 1, {0}, kChw);
  const std::vector<float> initial = values_of(noise.initial()), step = values_of(noise.step(5));
  EXPECT_EQ(values_of(noise.initial()), initial);
  EXPECT_EQ(values_of(noise.step(5)), step);
}

TEST(PhiloxNoise, SeedsImagesAndStepsDiffer) {
  PhiloxNoise noise(backend(), 1, {0}, kChw), other_seed(backend(), 2, {0}, kChw),
      other_image(backend(), 1, {1}, kChw);
  const std::vector<float> initial = values_of(noise.initial());
  EXPECT_NE(values_of(other_seed.initial()), initial);
  EXPECT_NE(values_of(other_image.initial()), initial);
  EXPECT_NE(values_of(noise.step(0)), initial);
  EXPECT_NE(values_of(noise.step(0)), values_of(noise.step(1)));
}

// The number at (n, c, h, w) of a file with M images of the shape kChw says where it lies.
Tensor file(const Shape& shape) {
  return tensor_of(shape, [](int64_t i) { return static_cast<double>(i); });
}

TEST(GivenNoise, GivesTheImagesOfTheBatchChannelsLast) {
  GivenNoise noise(backend(), {file({4, 3, 5, 6}), file({7, 4, 3, 5, 6})}, 1, {2, 3, 5, 6});
  const Tensor initial = noise.initial(), step = noise.step(6);
  ASSERT_EQ(initial.shape(), Shape({2, 5, 6, 3}));
  ASSERT_EQ(step.shape(), Shape({2, 5, 6, 3}));
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t h = 0; h < 5; ++h)
      for (int64_t w = 0; w < 6; ++w)
        for (int64_t c = 0; c < 3; ++c) {
          const int64_t here = ((n * 5 + h) * 6 + w) * 3 + c, there = (((n + 1) * 3 + c) * 5 + h) * 6 + w;
          ASSERT_EQ(initial.data<float>()[here], static_cast<float>(there));
          ASSERT_EQ(step.data<float>()[here], static_cast<float>(6 * 4 * 3 * 5 * 6 + there));
        }
}

TEST(GivenNoise, RefusesWhatIsMissing) {
  GivenNoise noise(backend(), {}, 0, {2, 3, 5, 6});
  expect_error(ErrorKind::input, "no initial latent", [&] { noise.initial(); });
  expect_error(ErrorKind::input, "no noise given, but step 1 needs it", [&] { noise.step(0); });
  GivenNoise short_one(backend(), {{}, file({3, 2, 3, 5, 6})}, 0, {2, 3, 5, 6});
  EXPECT_NO_THROW(short_one.step(2));
  expect_error(ErrorKind::input, "the noise has 3 steps, but step 4 needs noise", [&] { short_one.step(3); });
}

TEST(GivenNoise, TakesTheRestFromElsewhere) {
  PhiloxNoise philox(backend(), 9, {0, 1}, kChw);
  GivenNoise noise(backend(), {file({2, 3, 5, 6}), {}}, 0, {2, 3, 5, 6},
                   std::make_unique<PhiloxNoise>(backend(), 9, std::vector<uint64_t>{0, 1}, kChw));
  EXPECT_EQ(noise.initial().data<float>()[1], 30);  // (n 0, c 1, h 0, w 0)
  EXPECT_EQ(values_of(noise.step(4)), values_of(philox.step(4)));
}

TEST(GivenNoise, RefusesOtherShapesAndTypes) {
  const auto refuses = [](const std::string& part, Tensor initial, Tensor steps, int64_t first = 0) {
    expect_error(ErrorKind::input, part, [&] {
      GivenNoise(backend(), {initial, steps}, first, {2, 3, 5, 6});
    });
  };
  refuses("the initial latent is f32 [2, 3, 6, 5], expected f32 (images, 3, 5, 6) with at least 2 images",
          file({2, 3, 6, 5}), {});
  refuses("[2, 5, 6, 3]", file({2, 5, 6, 3}), {});
  refuses("[3, 5, 6]", file({3, 5, 6}), {});
  refuses("with at least 2 images", file({1, 3, 5, 6}), {});
  refuses("with at least 4 images", file({3, 3, 5, 6}), {}, 2);
  refuses("the initial latent is bf16", Tensor({2, 3, 5, 6}, DType::bf16), {});
  refuses("the noise is f32 [2, 3, 5, 6], expected f32 (steps, images, 3, 5, 6)", {}, file({2, 3, 5, 6}));
  refuses("the noise is f32 [10, 1, 3, 5, 6]", {}, file({10, 1, 3, 5, 6}));
  refuses("the noise is f32 [10, 2, 3, 5, 7]", {}, file({10, 2, 3, 5, 7}));
}

}  // namespace
}  // namespace tstitch
