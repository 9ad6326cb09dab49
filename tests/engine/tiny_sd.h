// The tiny networks of tests/golden/sd (tools/goldens/make_sd_goldens.py) as diffusers and transformers would
// have saved them.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/golden.h"
#include "tstitch/engine/run.h"
#include "tstitch/io/json.h"
#include "tstitch/io/safetensors.h"
#include "tstitch/nn/random_weights.h"

namespace tstitch {

namespace fs = std::filesystem;

inline constexpr uint64_t kSeed = 7;
inline constexpr const char* kPrompt = "a photograph of an astronaut riding a horse";

// A part with random weights of these names and shapes.
inline void write_part(const fs::path& to, const nlohmann::json& config, const std::string& tag,
                       const nlohmann::json& names) {
  fs::create_directories(to);
  std::ofstream(to / "config.json") << config;
  const RandomWeights random("sd-" + tag, kSeed);
  std::map<std::string, Tensor> all;
  for (const auto& [key, shape] : names.items())
    all[key] = random.load(key, Shape(shape.get<std::vector<int64_t>>()), DType::f32);
  write_safetensors((to / "diffusion_pytorch_model.safetensors").string(), all, {});
}

// The folders of the pair as diffusers and transformers would have saved them, made once.
class StableDiffusion : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder() = fs::temp_directory_path() / ("tstitch_sd_" + std::to_string(getpid()));
    for (const std::string model : {"large", "small", "told"}) {
      const fs::path pipeline = folder() / model;
      component(pipeline / "unet", model, "diffusion_pytorch_model.safetensors");
      write(pipeline / "model_index.json", model == "told"
                                               ? R"({"_class_name": "LatentConsistencyModelPipeline"})"
                                               : R"({"_class_name": "StableDiffusionPipeline"})");
      fs::create_directories(pipeline / "scheduler");
      fs::copy(golden_path("sd/scheduler_config.json"), pipeline / "scheduler" / "scheduler_config.json");
    }
    component(folder() / "large" / "text_encoder", "text", "model.safetensors");
  }
  static void TearDownTestSuite() { fs::remove_all(folder()); }

  static fs::path& folder() {
    static fs::path path;
    return path;
  }

  static void write(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }

  // To a pipeline the autoencoder of the goldens of inpainting.
  static void add_vae(const std::string& model) {
    write_part(folder() / model / "vae", parse_json_file(golden_path("inpainting/vae_config.json")), "vae",
               parse_json_file(golden_path("inpainting/vae_names.json")));
  }

  // config.json and random weights under the names and shapes of the goldens.
  static void component(const fs::path& to, const std::string& name, const std::string& weights_name) {
    fs::create_directories(to);
    fs::copy(golden_path("sd/" + name + "_config.json"), to / "config.json");
    write_safetensors((to / weights_name).string(), tensors(name, ""), {});
  }

  static std::map<std::string, Tensor> tensors(const std::string& name, const std::string& prefix) {
    const RandomWeights random("sd-" + name, kSeed);
    std::map<std::string, Tensor> all;
    const nlohmann::json shapes = parse_json_file(golden_path("sd/" + name + "_names.json"));
    for (const auto& [key, shape] : shapes.items())
      all[prefix + key] = random.load(key, Shape(shape.get<std::vector<int64_t>>()), DType::f32);
    return all;
  }

  std::vector<ModelInfo> infos() const {
    return read_model_infos({(folder() / "small").string(), (folder() / "large").string()});
  }

  SampleOptions options(const std::string& sampler, double ratio) const {
    SampleOptions options{.fractions = {ratio, 1 - ratio}, .sampler = sampler, .steps = "10"};
    options.prompts = {kPrompt};
    options.negative_prompt = "blurry";
    options.given.initial = random_uniform("x_T", {1, 4, 8, 8}, std::sqrt(3.0), kSeed);
    return options;
  }

  static Tensor latents_of(Backend& backend, const std::vector<ModelInfo>& infos,
                           const SampleOptions& options) {
    const RunSpec spec = make_run_spec(infos, options);
    std::vector<Model> models;
    for (const ModelInfo& info : infos) models.push_back(load_model(info, backend));
    RunObserver silent;
    return run(backend, models, spec, silent).latents;
  }
};

}  // namespace tstitch
