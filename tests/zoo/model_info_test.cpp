#include "tstitch/zoo/model_info.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/expect_error.h"
#include "tstitch/base/error.h"
#include "tstitch/io/safetensors.h"
#include "tstitch/zoo/assets.h"
#include "tstitch/zoo/families/dit.h"
#include "tstitch/zoo/model.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

const DiTConfig& config_of(const ModelInfo& info) {
  return dynamic_cast<const DiTArchitecture&>(*info.architecture).config();
}

class ModelInfoTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("tstitch_model_info_" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // A file with one tensor and this configuration.
  std::string file_with(const std::string& config) const {
    const std::string path = (folder_ / "model.safetensors").string();
    Tensor x({1}, DType::f32);
    *x.data<float>() = 0;
    write_safetensors(path, {{"x", x}},
                      config.empty() ? std::map<std::string, std::string>{}
                                     : std::map<std::string, std::string>{{"config", config}});
    return path;
  }

  void expect_refused(const std::string& config, const std::string& part) const {
    try {
      read_model_info(file_with(config));
      ADD_FAILURE() << "accepted " << config;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::input);
      EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
    }
  }

  fs::path folder_;
};

TEST_F(ModelInfoTest, ARectifiedFlowSaysSoTwice) {
  const std::string sizes =
      R"("input_size": 8, "hidden_size": 64, "depth": 1, "num_heads": 4, "num_classes": 2)";
  const ModelInfo info =
      read_model_info(file_with("{" + sizes + R"(, "betas": "flow", "prediction": "flow", "shift": 3})"));
  EXPECT_TRUE(info.noise.flow());
  EXPECT_EQ(info.noise.shift, 3);
  EXPECT_EQ(info.defaults.sampler, "flow_euler");
  EXPECT_EQ(info.defaults.switch_rule, SwitchRule::round);
  expect_refused("{" + sizes + R"(, "betas": "flow", "prediction": "eps"})", "a rectified flow has both");
  expect_refused("{" + sizes + R"(, "prediction": "flow"})", "a rectified flow has both");
  expect_refused("{" + sizes + R"(, "betas": "flow", "shift": 0})", "\"shift\" is 0");
}

TEST_F(ModelInfoTest, MetadataDescribesTheModel) {
  const ModelInfo info = read_model_info(file_with(
      R"({"architecture": "DiT", "input_size": 28, "patch_size": 4, "in_channels": 1, "hidden_size": 64, "depth": 6,
          "num_heads": 4, "num_classes": 2, "learn_sigma": true, "betas": "scaled_linear", "beta_start": 0.001,
          "beta_end": 0.012, "timesteps": 500, "latent": "pixels in [-1,1]", "classes": ["a", "b"], "name": "n",
          "cfg_scale": 2})"));
  EXPECT_EQ(info.name, "n");
  EXPECT_EQ(config_of(info).hidden_size, 64);
  EXPECT_EQ(info.noise, (TrainingNoise{"scaled_linear", 0.001, 0.012, 1, 500}));
  EXPECT_TRUE(info.pixels);
  EXPECT_EQ(info.classes, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(info.defaults.cfg_scale, 2);
}

TEST_F(ModelInfoTest, ConfigJsonBesideTheFileServesToo) {
  std::ofstream(folder_ / "config.json") << R"({"hidden_size": 96, "num_heads": 3})";
  EXPECT_EQ(config_of(read_model_info(file_with(""))).hidden_size, 96);
}

TEST_F(ModelInfoTest, BadValuesAreRefusedByKey) {
  expect_refused("[]", "object");
  expect_refused("{", "config");
  expect_refused(R"({"architecture": "UNet"})", "UNet");
  expect_refused(R"({"depth": -1})", "\"depth\" is -1");
  expect_refused(R"({"depth": 1.5})", "\"depth\"");
  expect_refused(R"({"depth": "6"})", "\"depth\"");
  expect_refused(R"({"depth": 1e30})", "\"depth\"");
  expect_refused(R"({"hidden_size": 100, "num_heads": 7})", "7 heads");
  expect_refused(R"({"input_size": 30, "patch_size": 4})", "patches of 4");
  expect_refused(R"({"betas": "cosine"})", "cosine");
  expect_refused(R"({"beta_start": 0.5, "beta_end": 0.1})", "beta");
  expect_refused(R"({"learn_sigma": 1})", "learn_sigma");
  expect_refused(R"({"classes": ["a"]})", "class names");
  expect_refused(R"({"latent": "pixels", "in_channels": 4})", "pixels");
  expect_refused("", "no network of a family that is known: DiT, U-Net");
}

TEST_F(ModelInfoTest, ALoraIsSaidToBeOne) {
  const std::string path = (folder_ / "fox.safetensors").string();
  write_safetensors(
      path,
      {{"lora_unet_mid_block_attentions_0_proj_in.lora_down.weight", Tensor({2, 8}, DType::f32)},
       {"lora_unet_mid_block_attentions_0_proj_in.lora_up.weight", Tensor({8, 2}, DType::f32)}},
      {});
  testing::expect_error(ErrorKind::input,
                        path + ": a LoRA, which changes a model and is none: name it with --lora",
                        [&] { read_model_info(path); });
}

TEST_F(ModelInfoTest, MissingWeightsAreRefusedByName) {
  const std::string path = file_with(R"({"hidden_size": 64, "depth": 1, "num_heads": 4})");
  const auto backend = make_backend({.device = "cpu", .dtype = "f32", .threads = 1});
  try {
    load_model(read_model_infos({path})[0], *backend);
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::input);
    EXPECT_NE(std::string(e.what()).find("x_embedder.proj.weight"), std::string::npos) << e.what();
  }
}

TEST(Assets, TheDemoFamilyCanBeStitched) {
  const auto infos =
      read_model_infos({resolve_model("fashion-s"), resolve_model("fashion-b"), resolve_model("fashion-l")});
  for (const ModelInfo& info : infos) {
    EXPECT_TRUE(stitch_obstacles(infos[0], info).empty());
    EXPECT_EQ(info.classes.size(), 10u);
  }
  EXPECT_LT(infos[0].architecture->parameters() * 8, infos[2].architecture->parameters());
}

}  // namespace
}  // namespace tstitch
