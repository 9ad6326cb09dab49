// Whole trajectories against an independent PyTorch implementation (tools/goldens/make_goldens.py): final
// latents of one, two and three models, DDIM and DDPM, guidance on three channels and on all, noise and start
// given.
#include "tests/support/golden.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "tstitch/engine/run.h"
#include "tstitch/nn/random_weights.h"
#include "tstitch/zoo/families/dit.h"

namespace tstitch {
namespace {

constexpr uint64_t kSeed = 7;

nlohmann::json cases_file() {
  std::ifstream file(golden_path("dit/cases.json"));
  return nlohmann::json::parse(file);
}

DiTConfig config_of(const nlohmann::json& json) {
  return {.input_size = json["input_size"],
          .patch_size = json["patch_size"],
          .in_channels = json["in_channels"],
          .hidden_size = json["hidden_size"],
          .depth = json["depth"],
          .num_heads = json["num_heads"],
          .mlp_ratio = json["mlp_ratio"],
          .num_classes = json["num_classes"],
          .learn_sigma = json["learn_sigma"]};
}

// Given latents and noise in the streams the goldens were made with.
Tensor input(const std::string& name, const Shape& shape) {
  return random_uniform(name, shape, std::sqrt(3.0), kSeed);
}

double error_of_case(const nlohmann::json& c, const nlohmann::json& configs, const std::string& dtype) {
  const auto backend = make_backend({.device = "cpu", .dtype = dtype, .threads = 2});
  std::vector<Model> models;
  std::vector<ModelInfo> infos;
  for (const std::string tag : c["models"]) {
    models.push_back(random_model(dit_info(config_of(configs[tag]), tag), kSeed, *backend));
    infos.push_back(models.back().info);
  }
  SampleOptions options{.sampler = c["sampler"],
                        .steps = "10",
                        .eta = c["eta"].get<double>(),
                        .cfg_scale = c["cfg_scale"].get<double>(),
                        .cfg_channels = c["cfg_channels"].get<int64_t>(),
                        .classes = c["classes"]};
  if (models.size() == 1) options.fractions = {1};
  if (!c["ratio"].is_null()) options.fractions = {c["ratio"], 1 - c["ratio"].get<double>()};
  if (!c["fractions"].is_null()) options.fractions = c["fractions"].get<std::vector<double>>();

  const DiTConfig config = config_of(configs[c["models"][0]]);
  options.given.initial = input("x_T", {2, config.in_channels, config.input_size, config.input_size});
  if (c["noise"])
    options.given.steps = input("noise", {10, 2, config.in_channels, config.input_size, config.input_size});

  const RunSpec spec = make_run_spec(infos, options);
  for (const Step& step : spec.trajectory) {
    EXPECT_EQ(step.level.t, c["timesteps"][step.index].get<double>());
    EXPECT_EQ(models[step.denoiser].info.name, c["model_per_step"][step.index].get<std::string>());
  }
  RunObserver silent;
  const RunResult result = run(*backend, models, spec, silent);
  return relative_error(result.latents, golden("dit/" + c["file"].get<std::string>()));
}

class TrajectoryGolden : public testing::TestWithParam<std::string> {};

TEST_P(TrajectoryGolden, FinalLatentsAgreeWithPyTorch) {
  const nlohmann::json file = cases_file();
  for (const auto& c : file["cases"])
    if (c["file"] == GetParam() + ".npy") {
      EXPECT_LE(error_of_case(c, file["configs"], "f32"), 1e-4);
      EXPECT_LE(error_of_case(c, file["configs"], "bf16"), 2e-2);
      return;
    }
  FAIL() << "no such case";
}

INSTANTIATE_TEST_SUITE_P(All, TrajectoryGolden,
                         testing::Values("s8_ddim", "s8_ddim_eta0.7", "s8_ddpm", "b8_ddim", "s8-b8_ddim",
                                         "s8-b8_ddim_cfg-all", "s8-b8_ddpm", "s8-b4-b8_ddim", "s8-b4-b8_ddpm",
                                         "tiny_ddim", "tiny_ddpm", "tiny-nosigma_ddpm"),
                         [](const auto& test) {
                           std::string name = test.param;
                           for (char& c : name)
                             if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
                           return name;
                         });

TEST(TrajectoryGoldens, EveryCaseIsTested) {
  EXPECT_EQ(cases_file()["cases"].size(), 12u) << "add the new case to the list above";
}

// tools/goldens/make_adaptive_goldens.py: the demo family, every image switching by itself.
TEST(AdaptiveGolden, ImagesSwitchWherePyTorchSwitches) {
  std::ifstream file(golden_path("adaptive/switches.json"));
  const auto expected = nlohmann::json::parse(file);
  const auto images = expected["small_steps"].get<std::vector<size_t>>();
  const auto backend = make_backend({.device = "cpu", .dtype = "f32", .threads = 2});
  std::vector<Model> models;
  std::vector<ModelInfo> infos;
  for (const char* name : {"fashion-s", "fashion-l"}) {
    infos.push_back(read_model_info(std::string(TSTITCH_SOURCE_DIR) + "/assets/" + name + ".safetensors"));
    models.push_back(load_model(infos.back(), *backend));
  }
  SampleOptions options{.adaptive = true,
                        .switch_threshold = expected["threshold"].get<double>(),
                        .sampler = "ddim",
                        .steps = std::to_string(expected["steps"].get<int>()),
                        .cfg_scale = 1};
  options.given.initial = input("adaptive/x_T", {std::ssize(images), 1, 28, 28});
  RunObserver silent;
  const RunResult result = run(*backend, models, make_run_spec(infos, options), silent);
  std::vector<int64_t> counts(21);
  for (const size_t steps : images) ++counts[steps];
  EXPECT_EQ(result.small_steps, counts);
  EXPECT_LE(relative_error(result.latents, golden("adaptive/final.npy")), 1e-4);
}

}  // namespace
}  // namespace tstitch
