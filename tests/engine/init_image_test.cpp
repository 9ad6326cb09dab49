#include "tstitch/engine/init_image.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/golden.h"
#include "tstitch/base/error.h"
#include "tstitch/engine/run.h"
#include "tstitch/zoo/assets.h"

namespace tstitch {
namespace {

// tools/goldens/make_resize_goldens.py: PyTorch's antialiased bicubic interpolation.
TEST(InitImage, IsScaledAsPyTorchDoes) {
  std::ifstream file(golden_path("resize/cases.json"));
  for (const auto& c : nlohmann::json::parse(file)) {
    Image image{.width = c["width"], .height = c["height"], .channels = 3, .pixels = {}};
    for (int i = 0; i < image.width * image.height * 3; ++i)
      image.pixels.push_back(static_cast<uint8_t>(i * 37 % 251 ^ i / 7 % 5));
    const auto expected = c["pixels"].get<std::vector<double>>();  // channels x height x width
    const int64_t W = c["to_width"], H = c["to_height"];
    const Tensor out = resized(image, W, H);
    ASSERT_EQ(out.shape(), Shape({3, H, W}));
    ASSERT_EQ(std::ssize(expected), out.elements());
    for (int64_t i = 0; i < out.elements(); ++i)
      EXPECT_NEAR(out.data<float>()[i], expected[static_cast<size_t>(i)], 2e-3) << "element " << i;
  }
}

TEST(InitImage, KeepsAPictureOfTheRightSize) {
  const Image image{.width = 2, .height = 1, .channels = 3, .pixels = {0, 128, 255, 7, 8, 9}};
  const Tensor out = resized(image, 2, 1);
  const float expected[] = {0, 7, 128, 8, 255, 9};
  EXPECT_EQ(std::memcmp(out.bytes(), expected, sizeof expected), 0);
}

class InitImageRun : public testing::Test {
 protected:
  InitImageRun() : backend_(make_backend({.dtype = "f32"})), infos_(read_model_infos(builtin_models())) {
    for (const ModelInfo& info : infos_) models_.push_back(load_model(info, *backend_));
    picture_ = Tensor({1, 28, 28}, DType::f32);
    for (int64_t i = 0; i < 28 * 28; ++i) picture_.data<float>()[i] = i / 28 % 14 < 7 ? 0.8f : -0.9f;
  }

  Tensor from_picture(double strength) {
    const RunSpec spec = make_run_spec(
        infos_,
        {.steps = "20", .cfg_scale = 1, .classes = {1}, .init_image = picture_, .strength = strength});
    RunObserver silent;
    return run(*backend_, models_, spec, silent,
               {.conditions = make_condition_makers(*backend_, infos_, spec),
                .init_latent = picture_.reshape({1, 1, 28, 28})})
        .latents;
  }

  double distance(const Tensor& latents) const {
    double sum = 0;
    for (int64_t i = 0; i < 28 * 28; ++i)
      sum += std::abs(latents.data<float>()[i] - picture_.data<float>()[i]);
    return sum / (28 * 28);
  }

  std::unique_ptr<Backend> backend_;
  std::vector<ModelInfo> infos_;
  std::vector<Model> models_;
  Tensor picture_;
};

TEST_F(InitImageRun, LeavesThePictureByItsStrength) {
  const double little = distance(from_picture(0.1)), half = distance(from_picture(0.5)),
               whole = distance(from_picture(1));
  EXPECT_LT(little, 0.2);
  EXPECT_LT(little, half);
  EXPECT_LT(half, whole);
}

// Which model serves a step is decided by the noise, not by how many steps are left out.
TEST_F(InitImageRun, TheSwitchStaysWhereItWas) {
  const auto spec = [&](double strength) {
    return make_run_spec(infos_, {.fractions = {0.4, 0.6},
                                  .steps = "50",
                                  .classes = {1},
                                  .init_image = picture_,
                                  .strength = strength});
  };
  EXPECT_EQ(spec(1).trajectory.steps_of(0), 20);
  EXPECT_EQ(spec(0.8).trajectory.steps_of(0), 10);
  EXPECT_EQ(spec(0.5).trajectory.steps_of(0), 0);
  EXPECT_EQ(spec(0.5).trajectory.size(), 25);
}

TEST_F(InitImageRun, WhatDoesNotFitIsRefused) {
  for (SampleOptions options :
       {SampleOptions{.width = 32}, SampleOptions{.strength = 0.001},
        SampleOptions{.given = {.initial = Tensor({1, 1, 28, 28}, DType::f32), .steps = {}}}}) {
    options.init_image = picture_;
    options.classes = {1};
    EXPECT_THROW(make_run_spec(infos_, options), Error);
  }
}

}  // namespace
}  // namespace tstitch
