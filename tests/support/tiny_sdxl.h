// The tiny networks of tests/golden/sdxl (tools/goldens/make_sdxl_goldens.py) as diffusers and transformers
// would have saved them, and as one file.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/golden.h"
#include "tests/support/recorder.h"
#include "tstitch/io/json.h"
#include "tstitch/io/safetensors.h"
#include "tstitch/models/clip_text.h"
#include "tstitch/models/unet.h"
#include "tstitch/zoo/diffusers_unet.h"

namespace tstitch {

class TinySdxl {
 public:
  using Tensors = std::map<std::string, Tensor>;

  // Below `folder`: a pipeline for each of the U-Nets, all with the text encoders of the first, but for the
  // refiner, which has the second only; in "alone/NAME" the U-Nets without anything.
  explicit TinySdxl(const std::filesystem::path& folder) : folder_(folder) {
    for (const std::string name : {"sdxl", "ssd1b", "vega", "koala_1b", "koala_700m", "refiner"}) {
      component(folder_ / "alone" / name, name, "diffusion_pytorch_model.safetensors", unet(name));
      pipeline(name, name);
    }
    component(folder_ / "text_encoder", "text", "model.safetensors", text("text"));
    component(folder_ / "text_encoder_2", "text_2", "model.safetensors", text("text_2"));
  }
  ~TinySdxl() { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  // Another pipeline, with links to what it shares.
  void pipeline(const std::string& name, const std::string& unet, const std::string& scheduler = "scheduler",
                const nlohmann::json& more = nlohmann::json::object()) const {
    const std::filesystem::path to = folder_ / name;
    std::filesystem::create_directories(to);
    const bool refines = unet == "refiner";
    nlohmann::json index = {
        {"_class_name", refines ? "StableDiffusionXLImg2ImgPipeline" : "StableDiffusionXLPipeline"},
        {"force_zeros_for_empty_prompt", !refines},
        {"requires_aesthetics_score", refines}};
    index.update(more);
    write(to / "model_index.json", index.dump());
    write(to / "scheduler" / "scheduler_config.json", configs().at(scheduler).dump());
    std::filesystem::create_directory_symlink(folder_ / "alone" / unet, to / "unet");
    if (!refines) std::filesystem::create_directory_symlink(folder_ / "text_encoder", to / "text_encoder");
    std::filesystem::create_directory_symlink(folder_ / "text_encoder_2", to / "text_encoder_2");
  }

  // A U-Net like another but for `more` of its configuration, with weights of its own, and its pipeline.
  void variant(const std::string& name, const std::string& like, const nlohmann::json& more) const {
    nlohmann::json config = configs().at(like);
    config.update(more);
    const Recorder recorder("sdxl-" + name);
    UNet(read_diffusers_unet_config(config, name), Weights(backend(), recorder));
    const std::filesystem::path to = folder_ / "alone" / name;
    write(to / "config.json", config.dump());
    write_safetensors((to / "diffusion_pytorch_model.safetensors").string(), recorder.tensors, {});
    pipeline(name, name);
  }

  static const nlohmann::json& configs() {
    static const nlohmann::json all = parse_json_file(golden_path("sdxl/configs.json"));
    return all;
  }

  static Tensors unet(const std::string& name) {
    const Recorder recorder("sdxl-" + name);
    UNet(read_diffusers_unet_config(configs().at(name), name), Weights(backend(), recorder));
    return recorder.tensors;
  }

  static Tensors text(const std::string& name) {
    const nlohmann::json& config = configs().at(name);
    const ClipTextConfig read = {.width = config.at("hidden_size"),
                                 .layers = config.at("num_hidden_layers"),
                                 .heads = config.at("num_attention_heads"),
                                 .mlp_size = config.at("intermediate_size"),
                                 .projection = config.value("projection_dim", int64_t{0})};
    const Recorder recorder("sdxl-" + name);
    ClipText(read, Weights(backend(), recorder), {.pooled = read.projection > 0});
    return recorder.tensors;
  }

  static void write(const std::filesystem::path& path, const std::string& text) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }

  static void component(const std::filesystem::path& to, const std::string& name, const std::string& file,
                        const Tensors& tensors) {
    write(to / "config.json", configs().at(name).dump());
    write_safetensors((to / file).string(), tensors, {});
  }

 private:
  static Backend& backend() {
    static const auto all = make_backend({.dtype = "f32", .threads = 2});
    return *all;
  }

  std::filesystem::path folder_;
};

}  // namespace tstitch
