// U-Nets in checkpoints of everything, as they are traded: names of the original code, text encoder or class
// embedder and running averages beside.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/support/fake_device.h"
#include "tests/support/golden.h"
#include "tstitch/base/error.h"
#include "tstitch/engine/run.h"
#include "tstitch/io/json.h"
#include "tstitch/io/safetensors.h"
#include "tstitch/models/unet.h"
#include "tstitch/nn/random_weights.h"
#include "tstitch/ops/ops.h"
#include "tstitch/zoo/diffusers_unet.h"
#include "tstitch/zoo/families/unet.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

using Tensors = std::map<std::string, Tensor>;

// Keeps what is asked for.
class Recorder final : public WeightSource {
 public:
  explicit Recorder(const std::string& tag) : random_(tag, 7) {}
  std::optional<Shape> shape(const std::string&) const override { return std::nullopt; }
  Tensor load(const std::string& name, const Shape& expected, DType) const override {
    return tensors[name] = random_.load(name, expected, DType::f32);
  }
  mutable Tensors tensors;

 private:
  RandomWeights random_;
};

class CheckpointOfEverything : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("tstitch_unet_" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // The tiny network of a family (tests/golden/unet) under the original code's names.
  Tensors network(const std::string& family) const {
    const std::string golden = golden_path("unet/" + family);
    const UNetConfig config = read_diffusers_unet_config(parse_json_file(golden + ".json"), family);
    const Recorder recorder(family);
    const UNet unet(config, Weights(*backend_, recorder));
    const nlohmann::json modules = parse_json_file(golden + "_names.json");
    Tensors stored;
    for (const auto& [name, tensor] : recorder.tensors) {
      std::string longest;
      for (const auto& [module, target] : modules.items())
        if (name.starts_with(module + ".") && module.size() > longest.size()) longest = module;
      stored["model.diffusion_model." + modules.at(longest).get<std::string>() +
             name.substr(longest.size())] = tensor;
    }
    return stored;
  }

  std::string write(const std::string& name, const Tensors& tensors) const {
    const std::string path = (folder_ / (name + ".safetensors")).string();
    write_safetensors(path, tensors, {});
    return path;
  }

  std::unique_ptr<Backend> backend_ = make_backend({.dtype = "f32", .threads = 2});
  fs::path folder_;
};

TEST_F(CheckpointOfEverything, OfTextsIsSampledAsStableDiffusion) {
  Tensors tensors = network("sd1");
  EXPECT_TRUE(read_model_info(write("alone", tensors)).files.text_encoder.empty());
  tensors["cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"] =
      Tensor({1, 1}, DType::f32);
  const std::string path = write("sd1", tensors);
  const ModelInfo info = read_model_info(path);
  EXPECT_EQ(info.condition.kind, ConditionKind::text);
  EXPECT_EQ(info.condition.width, 768);
  EXPECT_EQ(info.side, 64);
  EXPECT_EQ(info.files.text_encoder, path);
  EXPECT_EQ(info.prediction, Parameterization::eps);
  EXPECT_EQ(info.noise, (TrainingNoise{"scaled_linear", 0.00085, 0.012, 1, 1000}));
  EXPECT_EQ(info.defaults.sampler, "pndm");
  EXPECT_EQ(info.defaults.cfg_scale, 7.5);
  EXPECT_EQ(info.defaults.switch_rule, SwitchRule::step);
}

// diffusers' names behind the names of its folders.
TEST_F(CheckpointOfEverything, ComponentsMayBePrefixes) {
  const std::string golden = golden_path("unet/bk_tiny");
  const UNetConfig config = read_diffusers_unet_config(parse_json_file(golden + ".json"), "bk_tiny");
  const Recorder recorder("bk_tiny");
  const UNet unet(config, Weights(*backend_, recorder));
  Tensors tensors;
  for (const auto& [name, tensor] : recorder.tensors) tensors["unet." + name] = tensor;
  tensors["text_encoder.text_model.embeddings.token_embedding.weight"] = Tensor({1, 1}, DType::f32);
  const std::string path = write("prefixed", tensors);
  const ModelInfo info = read_model_info(path);
  EXPECT_EQ(info.condition.width, 768);
  EXPECT_EQ(info.files.text_encoder, path);
  EXPECT_NO_THROW(load_model(info, *backend_));
}

TEST_F(CheckpointOfEverything, WhatIsToldTheGuidanceIsSampledAsItWasDistilled) {
  const ModelInfo info = read_model_info(write("lcm", network("lcm")));
  EXPECT_TRUE(info.condition.told_guidance);
  EXPECT_FALSE(info.condition.needs_null(8));
  EXPECT_EQ(info.defaults.sampler, "lcm");
  EXPECT_EQ(info.defaults.cfg_scale, 8.5);
  EXPECT_EQ(info.architecture->details()["guidance"], 16);
  const ModelInfo plain = read_model_info(write("plain", network("sd1")));
  EXPECT_TRUE(plain.condition.needs_null(8));
  EXPECT_FALSE(plain.condition.needs_null(1));
  EXPECT_TRUE(stitch_obstacles(info, plain).empty());
}

TEST_F(CheckpointOfEverything, WhatStableDiffusion2PredictsCanBeSaid) {
  const std::string path = write("sd2", network("sd2"));
  const ModelInfo large = read_model_info(path);
  EXPECT_EQ(large.prediction, Parameterization::v);
  EXPECT_EQ(large.side, 96);
  const ModelInfo base = read_model_info(path, WeightChoice::automatic, Parameterization::eps);
  EXPECT_EQ(base.prediction, Parameterization::eps);
  EXPECT_EQ(base.side, 64);
  EXPECT_TRUE(stitch_obstacles(base, large).empty());  // what they predict is nothing to the trajectory
}

TEST_F(CheckpointOfEverything, PairsOfDifferentFamiliesAreRefusedWithTheRightPartner) {
  const auto models = read_model_infos({write("tiny", network("bk_tiny")), write("sd2", network("sd2"))});
  try {
    make_run_spec(models, {.prompts = {"a dog"}});
    ADD_FAILURE() << "accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::input);
    EXPECT_NE(
        std::string(e.what()).find("768 and as 1024 numbers a token: Stable Diffusion 1 (768) goes with "
                                   "BK-SDM, Stable Diffusion 2 (1024) with BK-SDM-v2"),
        std::string::npos)
        << e.what();
  }
  EXPECT_TRUE(stitch_obstacles(models[0], read_model_info(write("sd1", network("sd1")))).empty());
}

// Of classes: one token of context, and the running average unless the weights themselves are asked for.
TEST_F(CheckpointOfEverything, OfClassesIsSampledAsLatentDiffusion) {
  Tensors tensors = network("ldm");
  const int64_t width = 256;
  tensors["cond_stage_model.embedding.weight"] = random_uniform("classes", {10, width}, 1, 7);
  const std::string plain = write("plain", tensors);
  Tensors averaged = tensors;
  for (const auto& [name, tensor] : tensors)
    if (name.starts_with("model.")) {
      std::string bare = name.substr(6);
      std::erase(bare, '.');
      averaged["model_ema." + bare] = tensor;
      averaged[name] = backend_->download(combine(*backend_, {{0.5, &tensor}}));
    }
  const std::string both = write("both", averaged);

  const auto latents = [&](const std::string& path, WeightChoice weights, uint64_t seed) {
    const ModelInfo info = read_model_info(path, weights);
    std::vector<Model> models;
    models.push_back(load_model(info, *backend_));
    const RunSpec spec =
        make_run_spec({info}, {.steps = "2", .classes = {3, 9}, .seed = seed, .width = 64, .height = 64});
    RunObserver silent;
    return run(*backend_, models, spec, silent).latents;
  };
  const auto equal = [](const Tensor& a, const Tensor& b) {
    return std::memcmp(a.bytes(), b.bytes(), static_cast<size_t>(a.elements()) * 4) == 0;
  };
  const ModelInfo info = read_model_info(plain);
  EXPECT_EQ(info.condition.kind, ConditionKind::class_tokens);
  EXPECT_EQ(info.condition.num_classes, 10);
  EXPECT_EQ(info.latent_scale, 1);
  EXPECT_EQ(info.defaults.eta, 1);
  EXPECT_EQ(info.defaults.switch_rule, SwitchRule::ldm);
  EXPECT_TRUE(info.files.text_encoder.empty());

  const Tensor of_plain = latents(plain, WeightChoice::automatic, 0);
  EXPECT_TRUE(equal(of_plain, latents(both, WeightChoice::automatic, 0)));
  EXPECT_TRUE(equal(of_plain, latents(both, WeightChoice::ema, 0)));
  EXPECT_FALSE(equal(of_plain, latents(both, WeightChoice::model, 0)));
  EXPECT_FALSE(equal(of_plain, latents(plain, WeightChoice::automatic, 1)));
  EXPECT_THROW(latents(plain, WeightChoice::ema, 0), Error);
}

TEST_F(CheckpointOfEverything, OnADeviceIsThatOfTheHost) {
  Tensors tensors = network("ldm");
  tensors["cond_stage_model.embedding.weight"] = random_uniform("classes", {10, 256}, 1, 7);
  const ModelInfo info = read_model_info(write("ldm", tensors));
  const RunSpec spec =
      make_run_spec({info}, {.steps = "2", .cfg_scale = 3, .classes = {3, 9}, .width = 64, .height = 64});
  const auto latents = [&](Backend& backend) {
    std::vector<Model> models;
    models.push_back(load_model(info, backend));
    RunObserver silent;
    return run(backend, models, spec, silent).latents;
  };
  const auto device = fake_device({.dtype = "f32", .threads = 2});
  const Tensor expected = latents(*backend_), found = latents(*device);
  ASSERT_EQ(found.shape(), expected.shape());
  EXPECT_EQ(std::memcmp(found.bytes(), expected.bytes(), static_cast<size_t>(expected.elements()) * 4), 0);
}

// "No class" by name: the numbers that stand for it change the guided pictures, and only those.
TEST_F(CheckpointOfEverything, TheNullContextIsAnOption) {
  Tensors tensors = network("ldm");
  const int64_t width = 256;
  const Tensor table = random_uniform("classes", {10, width}, 1, 7);
  tensors["cond_stage_model.embedding.weight"] = table;
  std::vector<Model> models;
  models.push_back(load_model(read_model_info(write("ldm", tensors)), *backend_));
  EXPECT_EQ(models[0].info.condition.width, width);
  const auto latents = [&](const Tensor& null_context, double cfg_scale) {
    const RunSpec spec = make_run_spec({models[0].info}, {.steps = "2",
                                                          .cfg_scale = cfg_scale,
                                                          .classes = {3},
                                                          .null_context = null_context,
                                                          .width = 64,
                                                          .height = 64});
    RunObserver silent;
    return run(*backend_, models, spec, silent).latents;
  };
  const auto equal = [](const Tensor& a, const Tensor& b) {
    return std::memcmp(a.bytes(), b.bytes(), static_cast<size_t>(a.elements()) * 4) == 0;
  };
  Tensor zero({1}, DType::f32), zeros({width}, DType::f32);
  for (Tensor* tensor : {&zero, &zeros}) std::fill_n(tensor->data<float>(), tensor->elements(), 0.0f);
  EXPECT_TRUE(equal(latents(zero, 3), latents(zeros, 3)));
  EXPECT_FALSE(equal(latents(zero, 3), latents({}, 3)));
  EXPECT_TRUE(equal(latents(zero, 1), latents({}, 1)));
  // Guided away from its own class, an image is what it would be without guidance.
  const Tensor own = table.slice(3, 4).reshape({width});
  const Tensor guided = latents(own, 3), unguided = latents({}, 1);
  for (int64_t i = 0; i < guided.elements(); ++i)
    ASSERT_NEAR(guided.data<float>()[i], unguided.data<float>()[i], 1e-4);
}

TEST_F(CheckpointOfEverything, WhatIsBrokenIsRefusedByName) {
  const auto refused = [&](const std::string& part, const Tensors& tensors) {
    try {
      load_model(read_model_info(write("broken", tensors)), *backend_);
      ADD_FAILURE() << "accepted, expected " << part;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::input) << e.what();
      EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
    }
  };
  const Tensors good = network("bk_tiny");
  const std::string prefix = "model.diffusion_model.";
  Tensors bad = good;
  bad.erase(prefix + "out.2.bias");
  refused(prefix + "out.2.bias", bad);
  bad = good;
  bad[prefix + "time_embed.2.weight"] = Tensor({3, 3}, DType::f32);
  refused("time_embed.2.weight", bad);
  bad = good;
  bad[prefix + "out.2.bias"].data<float>()[0] = std::nanf("");
  refused("out.2.bias", bad);
  bad = good;
  const Tensor& first = good.at(prefix + "input_blocks.0.0.weight");
  bad[prefix + "input_blocks.0.0.weight"] = Tensor({first.extent(0), 9, 3, 3}, DType::f32);
  refused("cannot be stitched", bad);  // inpainting
  bad = good;
  bad["cond_stage_model.embedding.weight"] = Tensor({10, 5}, DType::f32);
  refused("expected (classes, 768)", bad);
  refused("two text encoders", network("sdxl"));
}

}  // namespace
}  // namespace tstitch
