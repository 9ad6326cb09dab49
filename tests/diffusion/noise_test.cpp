#include "tstitch/diffusion/noise.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/diffusion/exact_denoisers.h"
#include "tests/support/expect_error.h"
#include "tstitch/base/philox.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

using testing::backend;
using testing::expect_error;
using testing::tensor_of;
using testing::values_of;

const Shape kChw = {3, 5, 6};

TEST(PhiloxNoise, EveryNumberHasItsAddress) {
  const uint64_t seed = 0x123456789abcdef0;
  PhiloxNoise noise(backend(), {seed}, kChw);
  for (const int index : {-1, 0, 41}) {  // -1: the initial latent
    const Tensor x = index < 0 ? noise.initial() : noise.step(index);
    ASSERT_EQ(x.shape(), Shape({1, 5, 6, 3}));
    for (int64_t c = 0; c < 3; ++c)
      for (int64_t h = 0; h < 5; ++h)
        for (int64_t w = 0; w < 6; ++w) {
          const auto e = static_cast<uint32_t>((c * 5 + h) * 6 + w);
          const auto block = philox({e / 4, static_cast<uint32_t>(1 + index), 0, 0}, seed);
          ASSERT_EQ(x.data<float>()[(h * 6 + w) * 3 + c], philox_normal(block)[e % 4]);
        }
  }
}

TEST(PhiloxNoise, DoesNotDependOnTheBatch) {
  PhiloxNoise together(backend(), {1, 2, 3, 4, 5, 6, 7, 8}, kChw);
  for (int64_t row = 0; row < 8; ++row) {
    PhiloxNoise alone(backend(), {1 + static_cast<uint64_t>(row)}, kChw);
    EXPECT_EQ(values_of(alone.initial()), values_of(together.initial().slice(row, row + 1)));
    EXPECT_EQ(values_of(alone.step(3)), values_of(together.step(3).slice(row, row + 1)));
  }
}

TEST(PhiloxNoise, AskingTwiceGivesTheSame) {
  PhiloxNoise noise(backend(), {1}, kChw);
  const std::vector<float> initial = values_of(noise.initial()), step = values_of(noise.step(5));
  EXPECT_EQ(values_of(noise.initial()), initial);
  EXPECT_EQ(values_of(noise.step(5)), step);
}

TEST(PhiloxNoise, SeedsAndStepsDiffer) {
  PhiloxNoise noise(backend(), {1}, kChw), other_seed(backend(), {2}, kChw);
  const std::vector<float> initial = values_of(noise.initial());
  EXPECT_NE(values_of(other_seed.initial()), initial);
  EXPECT_NE(values_of(noise.step(0)), initial);
  EXPECT_NE(values_of(noise.step(0)), values_of(noise.step(1)));
}

TEST(SeedOf, TheFirstImageHasTheRunsAndEveryImageItsOwn) {
  std::set<uint64_t> seeds;
  for (const uint64_t seed : {0, 1, 2, 3})
    for (int64_t image = 0; image < 1000; ++image) {
      const uint64_t one = seed_of("philox", seed, image);
      EXPECT_TRUE(seeds.insert(one).second) << seed << " " << image;
      EXPECT_LT(one, uint64_t{1} << 53);
    }
  EXPECT_EQ(seed_of("philox", ~uint64_t{0}, 0), ~uint64_t{0});
  EXPECT_EQ(seed_of("torch", 10, 3), 13u);
  EXPECT_EQ(seed_of("torch-cuda", 10, 3), 13u);
}

// Draw `number` of the stream with this seed, as the golden tests of base/ know it.
std::vector<float> torch_draw(uint64_t seed, int number) {
  TorchCpuGenerator generator(seed);
  std::vector<float> x(static_cast<size_t>(kChw.elements()));
  for (int i = 0; i <= number; ++i) generator.randn(x);
  return x;
}

std::vector<float> channels_first(const Tensor& nhwc) {
  return values_of(to_channels_first(backend(), nhwc));
}

TEST(TorchNoise, IsOneGeneratorPerImage) {
  TorchNoise noise(backend(), {13, 14}, kChw);
  const auto image = [](const Tensor& x, int64_t row) { return channels_first(x.slice(row, row + 1)); };
  const Tensor initial = noise.initial();
  ASSERT_EQ(initial.shape(), Shape({2, 5, 6, 3}));
  for (int64_t row = 0; row < 2; ++row) {
    const auto seed = static_cast<uint64_t>(13 + row);
    EXPECT_EQ(image(initial, row), torch_draw(seed, 0));
    for (const int step : {0, 1, 4, 4, 2})  // in order, past some, the same again, back
      EXPECT_EQ(image(noise.step(step), row), torch_draw(seed, 1 + step)) << step;
    EXPECT_EQ(image(noise.initial(), row), torch_draw(seed, 0));
  }
}

TEST(TorchCudaNoise, IsOneGeneratorPerImage) {
  TorchCudaNoise noise(backend(), {10, 13}, kChw);
  const Tensor step = noise.step(6);
  for (int64_t row = 0; row < 2; ++row) {
    std::vector<float> x(static_cast<size_t>(kChw.elements()));
    torch_cuda_randn(static_cast<uint64_t>(10 + 3 * row), 7, x);
    EXPECT_EQ(channels_first(step.slice(row, row + 1)), x);
  }
}

TEST(MakeNoise, KnowsItsNames) {
  EXPECT_EQ(noise_names(), "philox, torch, torch-cuda");
  EXPECT_TRUE(is_noise("torch"));
  EXPECT_FALSE(is_noise("cuda"));
  PhiloxNoise philox(backend(), {4}, kChw);
  EXPECT_EQ(values_of(make_noise(backend(), "philox", {4}, kChw)->initial()), values_of(philox.initial()));
  EXPECT_EQ(channels_first(make_noise(backend(), "torch", {4}, kChw)->step(0)), torch_draw(4, 1));
  expect_error(ErrorKind::usage, "'cuda', expected one of philox, torch, torch-cuda",
               [] { make_noise(backend(), "cuda", {4}, kChw); });
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
  PhiloxNoise philox(backend(), {9, 10}, kChw);
  GivenNoise noise(backend(), {file({2, 3, 5, 6}), {}}, 0, {2, 3, 5, 6},
                   std::make_unique<PhiloxNoise>(backend(), std::vector<uint64_t>{9, 10}, kChw));
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
