// The engine on the demo family, without starting the program.
#include "tstitch/engine/engine.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tstitch/base/error.h"
#include "tstitch/engine/pixels.h"
#include "tstitch/zoo/assets.h"

namespace tstitch {
namespace {

const BackendOptions kDevice = {.device = "cpu", .dtype = "f32", .threads = 1};

SampleOptions few(std::vector<double> fractions) {
  return {.fractions = std::move(fractions), .steps = "4", .classes = {1, 5, 9}, .batch_size = 2};
}

struct Counting final : RunObserver {
  explicit Counting(int most) : left(most) {}
  bool cancelled() override { return left-- <= 0; }
  int left;
};

class EngineTest : public testing::Test {
 protected:
  const std::vector<ModelInfo> infos_ = read_model_infos(builtin_models());
};

TEST_F(EngineTest, PicturesAreTheLatentsDecodedBatchByBatch) {
  const RunSpec spec = make_run_spec(infos_, few({0.5, 0.5}));
  Engine engine(infos_, kDevice);
  engine.load(spec);
  RunObserver silent;
  const RunResult whole = run(engine.backend(), engine.models(), spec, silent);
  EXPECT_EQ(engine.sample(spec).size(), 3u);
  const std::vector<Image> expected = decode_pixels(whole.latents), pictures = engine.sample(spec);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(pictures[i].pixels, expected[i].pixels) << i;

  // Latents and pictures of a part of the images only.
  struct Sink final : PictureSink {
    void add(int64_t first, const std::vector<Image>& images) override {
      for (size_t i = 0; i < images.size(); ++i) seen.push_back({first + static_cast<int64_t>(i), images[i]});
    }
    std::vector<std::pair<int64_t, Image>> seen;
  } sink;
  KeepLatents kept(spec);
  const IndexRange part{1, 2};
  const RunResult result = engine.sample(spec, {&part, 1}, silent, &sink, &kept);
  EXPECT_EQ(result.images, 2);
  EXPECT_EQ(result.decode_seconds, 0);
  ASSERT_EQ(sink.seen.size(), 2u);
  for (const auto& [image, picture] : sink.seen)
    EXPECT_EQ(picture.pixels, expected[static_cast<size_t>(image)].pixels) << image;
  const size_t image_bytes = sizeof(float) * 28 * 28;
  EXPECT_EQ(
      std::memcmp(kept.latents().bytes() + image_bytes, whole.latents.bytes() + image_bytes, 2 * image_bytes),
      0);
}

TEST_F(EngineTest, OnlyModelsThatServeAStepAreLoaded) {
  const std::vector<RunSpec> specs = {make_run_spec(infos_, few({0, 1}))};
  Engine engine(infos_, kDevice);
  const auto never = [] { return false; };
  EXPECT_TRUE(engine.load(specs, true, never));
  EXPECT_FALSE(engine.models()[0].network);
  EXPECT_TRUE(engine.models()[1].network);
  engine.warm_up(specs[0]);
  const std::vector<EvaluationTime> times = engine.time_evaluations(specs[0], never);
  EXPECT_EQ(times[0].mean, 0);
  EXPECT_GT(times[1].mean, 0);
  EXPECT_GE(times[1].spread, 0);
  EXPECT_EQ(engine.time_decoding(specs[0]), 0);
  EXPECT_GT(engine.estimate(specs[0], never), 4 * times[1].mean * 0.2);

  // The next trajectory uses both.
  const std::vector<RunSpec> more = {specs[0], make_run_spec(infos_, few({0.5, 0.5}))};
  EXPECT_TRUE(engine.load(more, true, never));
  EXPECT_TRUE(engine.models()[0].network);

  EXPECT_TRUE(engine.time_evaluations(more[1], [] { return true; }).empty());
  EXPECT_EQ(engine.estimate(more[1], [] { return true; }), 0);
}

TEST_F(EngineTest, CancellingEndsLoadingAndSampling) {
  const RunSpec spec = make_run_spec(infos_, few({0.5, 0.5}));
  Engine engine(infos_, kDevice);
  EXPECT_FALSE(engine.load({&spec, 1}, true, [] { return true; }));
  EXPECT_FALSE(engine.models()[1].network);  // asked after the first
  engine.load(spec);
  const IndexRange all{0, 3};
  Counting five(5);
  KeepLatents kept(spec);
  const RunResult result = engine.sample(spec, {&all, 1}, five, nullptr, &kept);
  EXPECT_TRUE(result.cancelled);
  EXPECT_EQ(result.images, 2);  // the first batch was finished
}

TEST_F(EngineTest, WhatCanBeDecoded) {
  EXPECT_TRUE(is_decodable(infos_[0], ""));
  EXPECT_NO_THROW(check_decodable(infos_[0], ""));
  EXPECT_THROW(check_decodable(infos_[0], "vae.safetensors"), Error);
  ModelInfo latent = infos_[0];
  latent.pixels = false;
  EXPECT_FALSE(is_decodable(latent, ""));
  EXPECT_THROW(check_decodable(latent, ""), Error);
  EXPECT_TRUE(is_decodable(latent, "vae.safetensors"));
  latent.files.vae = "its own";
  EXPECT_EQ(autoencoder_path(latent, ""), "its own");
  EXPECT_EQ(autoencoder_path(latent, "mine"), "mine");
}

TEST_F(EngineTest, BatchesCountTheirShare) {
  SampleOptions options = few({0.5, 0.5});
  EXPECT_EQ(batches_in(make_run_spec(infos_, options)), 1.5);
  options.batch_size = 8;
  EXPECT_EQ(batches_in(make_run_spec(infos_, options)), 1);
}

}  // namespace
}  // namespace tstitch
