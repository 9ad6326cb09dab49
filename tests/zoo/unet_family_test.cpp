// U-Nets in checkpoints of everything, as they are traded: names of the original code, text encoder or class
// embedder and running averages beside.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/support/expect_error.h"
#include "tests/support/fake_device.h"
#include "tests/support/golden.h"
#include "tests/support/recorder.h"
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

class CheckpointOfEverything : public ::testing::Test {
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
  EXPECT_TRUE(read_model_info(write("alone", tensors)).files.text_encoders.empty());
  tensors["cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"] =
      Tensor({1, 1}, DType::f32);
  const std::string path = write("sd1", tensors);
  const ModelInfo info = read_model_info(path);
  EXPECT_EQ(info.condition.kind, ConditionKind::text);
  EXPECT_EQ(info.condition.width, 768);
  EXPECT_EQ(info.side, 64);
  EXPECT_EQ(info.files.text_encoders, std::vector{path});
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
  EXPECT_EQ(info.files.text_encoders, std::vector{path});
  EXPECT_NO_THROW(load_model(info, *backend_));
}

TEST_F(CheckpointOfEverything, WhatIsToldTheGuidanceIsSampledAsItWasDistilled) {
  const ModelInfo info = read_model_info(write("lcm", network("lcm")));
  EXPECT_TRUE(info.condition.told_guidance);
  EXPECT_FALSE(info.condition.needs_null(8));
  EXPECT_EQ(info.defaults.sampler, "lcm");
  EXPECT_EQ(info.defaults.steps, 4);
  EXPECT_EQ(info.defaults.cfg_scale, 8.5);
  EXPECT_TRUE(info.defaults.spacing.strength_keeps_steps);
  EXPECT_EQ(info.architecture->details()["guidance"], 16);
  const ModelInfo plain = read_model_info(write("plain", network("sd1")));
  EXPECT_TRUE(plain.condition.needs_null(8));
  EXPECT_FALSE(plain.condition.needs_null(1));
  EXPECT_TRUE(stitch_obstacles(info, plain).empty());
}

TEST(UNetArchitecture, OfSdxlsPruningsNobodyPublishedHasASize) {
  const auto name_of = [](const UNetConfig& config) {
    return UNetArchitecture(config, "", 77, WeightChoice::automatic).name();
  };
  UNetConfig config = unet_preset("sdxl");
  config.middle = UNetConfig::Middle::resnet;
  config.middle_depth = 0;
  EXPECT_EQ(name_of(config), "Stable Diffusion XL, pruned (2.19 B)");
  config.guidance_width = 256;
  EXPECT_EQ(name_of(config), "Stable Diffusion XL, pruned (2.19 B), distilled (LCM)");
  config = unet_preset("ssd1b");
  config.in_channels = 9;
  EXPECT_EQ(name_of(config), "SSD-1B");
  config.context_width = 1024;
  EXPECT_EQ(name_of(config), "U-Net");
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

TEST_F(CheckpointOfEverything, NineChannelsSeeTheMask) {
  for (const std::string layout : {"sd1", "sd2"}) {
    Tensors tensors = network(layout);
    const ModelInfo plain = read_model_info(write(layout, tensors));
    Tensor& first = tensors.at("model.diffusion_model.input_blocks.0.0.weight");
    first = RandomWeights("inpaint", 7).load("first", {first.extent(0), 9, 3, 3}, DType::f32);
    const ModelInfo info = read_model_info(write(layout + "-inpaint", tensors));
    EXPECT_TRUE(info.condition.sees_mask);
    EXPECT_FALSE(plain.condition.sees_mask);
    EXPECT_EQ(info.channels, 4);
    EXPECT_EQ(info.prediction, Parameterization::eps) << layout;  // the published ones do, also of 2
    EXPECT_EQ(info.side, 64);
    EXPECT_TRUE(stitch_obstacles(plain, info).empty());
    EXPECT_NO_THROW(load_model(info, *backend_));
  }
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

// What shapes do not show of SDXL's kind: how a single file is sampled.
class SdxlFile : public CheckpointOfEverything {
 protected:
  // Told as much as the published ones: a pooled text of 1280 numbers and six sizes of 256.
  Tensors network_of(const std::string& family) const {
    Tensors tensors = network(family);
    Tensor& added = tensors.at("model.diffusion_model.label_emb.0.0.weight");
    added = Tensor({added.extent(0), 1280 + 6 * 256}, DType::f32);
    return tensors;
  }
};

TEST_F(SdxlFile, IsSampledAsStabilitysModel) {
  for (const char* family : {"sdxl", "ssd1b", "vega", "koala_1b", "koala_700m"}) {
    const ModelInfo info = read_model_info(write(family, network_of(family)));
    EXPECT_EQ(info.condition.width, 2048);
    EXPECT_EQ(info.condition.pooled_width, 1280);
    EXPECT_EQ(info.condition.encoders(), (std::vector{ClipPlace::first, ClipPlace::second}));
    EXPECT_TRUE(info.condition.empty_is_zeros);
    EXPECT_EQ(info.latent_scale, 0.13025);
    EXPECT_EQ(info.noise, (TrainingNoise{"scaled_linear", 0.00085, 0.012, 1, 1000}));
    EXPECT_EQ(info.prediction, Parameterization::eps);
    const RunSpec spec = make_run_spec({info}, {.prompts = {"a"}});
    EXPECT_EQ(spec.options.sampler, "euler");
    EXPECT_EQ(*spec.options.cfg_scale, 5);
    EXPECT_EQ(spec.options.width, 1024);
    EXPECT_EQ(spec.trajectory.size(), 50);
    EXPECT_EQ(spec.trajectory[0].level.t, 981);
    EXPECT_EQ(spec.trajectory[49].level.t, 1);
    EXPECT_EQ(spec.initial_scale, 1);
  }
}

TEST_F(SdxlFile, FilesWithOneOfTheTwoTextEncodersHaveNone) {
  Tensors tensors = network_of("sdxl");
  tensors["conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight"] =
      Tensor({1, 1}, DType::f32);
  EXPECT_TRUE(read_model_info(write("one", tensors)).files.text_encoders.empty());
  tensors["conditioner.embedders.1.model.token_embedding.weight"] = Tensor({1, 1}, DType::f32);
  const std::string path = write("both", tensors);
  EXPECT_EQ(read_model_info(path).files.text_encoders, (std::vector{path, path}));
  EXPECT_EQ(read_model_infos({write("alone", network_of("ssd1b")), path})[0].files.text_encoders,
            (std::vector{path, path}));
}

// As fine-tunes that predict v mark their files.
TEST_F(SdxlFile, MarkersSayWhatItPredicts) {
  Tensors tensors = network_of("sdxl");
  tensors["v_pred"] = Tensor({0}, DType::f32);
  const ModelInfo v = read_model_info(write("v", tensors));
  EXPECT_EQ(v.prediction, Parameterization::v);
  EXPECT_FALSE(v.noise.zero_snr);
  tensors["ztsnr"] = Tensor({0}, DType::f32);
  EXPECT_TRUE(read_model_info(write("zero", tensors)).noise.zero_snr);
  const std::string said = (folder_ / "said.safetensors").string();
  write_safetensors(said, network_of("sdxl"), {{"modelspec.prediction_type", "v"}});
  EXPECT_EQ(read_model_info(said).prediction, Parameterization::v);
  EXPECT_EQ(read_model_info(said, WeightChoice::automatic, Parameterization::eps).prediction,
            Parameterization::eps);
}

TEST_F(SdxlFile, RelativesAreRefusedByName) {
  for (const auto& [tensor, name] : {std::pair{"edm_mean", "Playground v2.5"},
                                     {"edm_vpred.sigma_max", "CosXL"},
                                     {"model.diffusion_model.encoder_hid_proj.weight", "Kolors"}}) {
    Tensors tensors = network_of("sdxl");
    tensors[tensor] = Tensor({1}, DType::f32);
    testing::expect_error(ErrorKind::input, concat("is that of ", name),
                          [&] { read_model_info(write("relative", tensors)); });
  }
  testing::expect_error(ErrorKind::input, "an added condition of 80 numbers, expected more than the 1536",
                        [&] { read_model_info(write("narrow", network("sdxl"))); });
}

TEST_F(SdxlFile, IsNotStitchedWithOtherFamilies) {
  const ModelInfo sdxl = read_model_info(write("sdxl", network_of("sdxl")));
  EXPECT_TRUE(stitch_obstacles(read_model_info(write("koala", network_of("koala_700m"))), sdxl).empty());
  const auto obstacles = stitch_obstacles(read_model_info(write("sd1", network("sd1"))), sdxl);
  ASSERT_FALSE(obstacles.empty());
  EXPECT_NE(obstacles[0].find("SDXL (2048) with SSD-1B, Segmind-Vega and KOALA"), std::string::npos);
}

TEST(UNetArchitecture, PublishedNetworksHaveNames) {
  for (const auto& [preset, name] : {std::pair{"sdxl", "Stable Diffusion XL"},
                                     {"sdxl_refiner", "Stable Diffusion XL refiner"},
                                     {"ssd1b", "SSD-1B"},
                                     {"vega", "Segmind-Vega"},
                                     {"koala_1b", "KOALA-1B"},
                                     {"koala_700m", "KOALA-700M"}})
    EXPECT_EQ(UNetArchitecture(unet_preset(preset), "", 77, WeightChoice::automatic).name(), name);
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
  EXPECT_TRUE(info.files.text_encoders.empty());

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
  bad[prefix + "input_blocks.0.0.weight"] = Tensor({first.extent(0), 5, 3, 3}, DType::f32);
  refused("cannot be stitched", bad);  // depth
  bad = good;
  bad["cond_stage_model.embedding.weight"] = Tensor({10, 5}, DType::f32);
  refused("expected (classes, 768)", bad);
}

}  // namespace
}  // namespace tstitch
