#include "tstitch/zoo/model_info.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/io/json.h"
#include "tstitch/io/sharded_checkpoint.h"
#include "tstitch/models/autoencoder_keys.h"
#include "tstitch/zoo/dit_architecture.h"
#include "tstitch/zoo/file_weights.h"
#include "tstitch/zoo/model_config.h"
#include "tstitch/zoo/unet_architecture.h"

namespace tstitch {
namespace {

std::string dtypes_of(const TensorFile& file) {
  std::set<std::string> names;
  for (const auto& [name, tensor] : file.tensors()) names.insert(tensor.dtype_name);
  return join(names);
}

// A file's name without its extension, or a folder's.
std::string name_of(const ModelFiles& files) {
  const std::filesystem::path path = std::filesystem::path(files.path).lexically_normal();
  if (files.path == files.weights) return path.stem().string();
  return path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
}

std::string shape_text(const ModelInfo& info) {
  // A U-Net for text takes every size.
  if (info.context_width) return concat(info.channels, " channels");
  return concat(info.channels, " x ", info.side, " x ", info.side);
}

}  // namespace

NoiseSchedule TrainingNoise::betas() const {
  check(!flow(), ErrorKind::internal, "the betas of a rectified flow, which has none");
  return kind == "linear"          ? NoiseSchedule::linear(start, end, timesteps)
         : kind == "scaled_linear" ? NoiseSchedule::scaled_linear(start, end, timesteps)
                                   : NoiseSchedule::cosine(timesteps);
}

TensorFile open_weights(const ModelFiles& files, WeightChoice weights) {
  return files.weights.ends_with(".index.json") ? read_sharded_checkpoint(files.weights)
                                                : open_checkpoint(files.weights, weights);
}

ModelInfo read_model_info(const std::string& path, WeightChoice weights,
                          std::optional<Parameterization> prediction) {
  ModelInfo info;
  info.path = path;
  info.files = find_model_files(path);
  info.weights = weights;
  const TensorFile file = open_weights(info.files, weights);
  info.dtypes = dtypes_of(file);
  for (const auto& [name, tensor] : file.tensors())
    info.file_bytes += static_cast<int64_t>(tensor.bytes.size());

  if (is_unet(file)) {
    // Beside a checkpoint of everything may lie the configuration of anything.
    const bool described = !info.files.config.empty() && file.tensors().contains("conv_in.weight");
    const nlohmann::json config = described ? parse_json_file(info.files.config) : nlohmann::json();
    describe_unet(info, file, described ? &config : nullptr, info.files.config, prediction);
  } else if (const auto config = file.metadata().find("config"); config != file.metadata().end()) {
    const std::string where = concat(file.path(), ": metadata \"config\"");
    read_model_config(parse_json(config->second, where), where, info);
  } else if (!info.files.config.empty()) {
    read_model_config(parse_json_file(info.files.config), info.files.config, info);
  } else {
    describe_dit(info, infer_dit_config(*DiTArchitecture({}).weights(file)));
  }
  if (!info.files.scheduler.empty())
    read_scheduler_config(parse_json_file(info.files.scheduler), info.files.scheduler, info);
  if (prediction) {
    check(!info.noise.flow(), ErrorKind::usage, "--prediction ", name_of(*prediction), " for ", info.name,
          ", which is a rectified flow and predicts velocities");
    info.prediction = *prediction;
  }
  if (info.files.vae.empty() && AutoencoderKeys::recognises(FileWeights(file)))
    info.files.vae = info.files.weights;
  if (const std::string config = info.files.vae + "/config.json";
      !info.files.vae.empty() && std::filesystem::exists(config))
    info.pixels_per_latent = autoencoder_factor(parse_json_file(config), config);
  if (std::ssize(info.files.classes) == info.num_classes) info.classes = info.files.classes;
  if (info.name.empty()) info.name = printable(name_of(info.files));
  if (!info.noise.flow()) info.noise.betas();  // throws for numbers that are no schedule
  return info;
}

std::vector<std::string> names_of(std::span<const ModelInfo> models) {
  std::vector<std::string> names;
  for (const ModelInfo& model : models) names.push_back(model.name);
  return names;
}

std::vector<std::string> stitch_obstacles(const ModelInfo& a, const ModelInfo& b) {
  std::vector<std::string> obstacles;
  const auto differ = [&](const auto& x, const auto& y, const std::string& what) {
    if (!(x == y)) obstacles.push_back(concat(what, " differ: ", x, " and ", y));
  };
  differ(shape_text(a), shape_text(b), "their latents (channels x height x width)");
  differ(std::string(a.pixels ? "pixels" : "encoded"), std::string(b.pixels ? "pixels" : "encoded"),
         "their latents");
  differ(a.num_classes, b.num_classes, "their numbers of classes");
  if (a.context_width != b.context_width)
    obstacles.push_back(
        concat("they read texts encoded as ", a.context_width, " and as ", b.context_width,
               " numbers a token: Stable Diffusion 1 (768) goes with BK-SDM, Stable Diffusion 2 "
               "(1024) with BK-SDM-v2"));
  differ(name_of(a.prediction), name_of(b.prediction), "what they predict");
  differ(a.noise.kind, b.noise.kind, "their noise schedules");
  differ(a.noise.start, b.noise.start, "the first betas of their noise schedules");
  differ(a.noise.end, b.noise.end, "the last betas of their noise schedules");
  differ(a.noise.timesteps, b.noise.timesteps, "their numbers of training timesteps");
  if (!a.classes.empty() && !b.classes.empty() && a.classes != b.classes)
    obstacles.push_back("the names of their classes differ");
  if (a.latent_scale != b.latent_scale) obstacles.push_back("their latents are scaled differently");
  return obstacles;
}

}  // namespace tstitch
