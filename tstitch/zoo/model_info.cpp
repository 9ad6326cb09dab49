#include "tstitch/zoo/model_info.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/io/json.h"
#include "tstitch/io/sharded_checkpoint.h"
#include "tstitch/models/autoencoder_keys.h"
#include "tstitch/models/clip_text_keys.h"
#include "tstitch/zoo/file_weights.h"
#include "tstitch/zoo/model_config.h"
#include "tstitch/zoo/naming_file.h"

namespace tstitch {
namespace {

std::string dtypes_of(const TensorFile& file) {
  std::set<std::string> names;
  for (const auto& [name, tensor] : file.tensors()) names.insert(tensor.dtype_name);
  return join(names);
}

// Of a file that says so (GGUF), for the message that it is none that is known.
std::string said_architecture(const TensorFile& file) {
  const auto said = file.metadata().find("general.architecture");
  return said == file.metadata().end()
             ? ""
             : concat("; its general.architecture is \"", printable(said->second, 40), "\"");
}

// Whether the file holds changes of a network, which is none itself.
bool is_lora(TensorFile file) {
  try {
    LoraFile lora(std::move(file));
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::string names_of(std::span<const Family> families) {
  std::set<std::string> names;
  for (const Family& family : families) names.emplace(family.name);
  return join(names);
}

// Where the text encoder and the autoencoder are: beside the network in its file, unless the folder has them.
void find_companions(const TensorFile& file, ModelInfo& info) {
  const FileWeights weights(file);
  ModelFiles& files = info.files;
  const std::vector<ClipPlace> encoders = info.condition.encoders();
  if (files.text_encoders.empty() && std::ranges::all_of(encoders, [&](ClipPlace place) {
        return ClipTextKeys::recognises(weights, place);
      }))
    files.text_encoders.assign(encoders.size(), files.weights);
  if (files.vae.empty() && AutoencoderKeys::recognises(weights)) files.vae = files.weights;
  if (const std::string config = files.vae + "/config.json";
      !files.vae.empty() && std::filesystem::exists(config))
    info.pixels_per_latent = autoencoder_factor(parse_json_file(config), config);
}

// What they are told with, where that decides whether they can be stitched; "" where they can.
std::string condition_obstacle(const ConditionInfo& a, const ConditionInfo& b) {
  const bool text = a.kind == ConditionKind::text;
  if (text != (b.kind == ConditionKind::text)) return "one draws classes and the other what a text says";
  if (a.num_classes != b.num_classes)
    return concat("their numbers of classes differ: ", a.num_classes, " and ", b.num_classes);
  if (!text || a.width == b.width || (a.pooled_width > 0 && b.pooled_width > 0)) return "";
  return concat("they read texts encoded as ", a.width, " and as ", b.width,
                " numbers a token: Stable Diffusion 1 (768) goes with BK-SDM, Stable Diffusion 2 "
                "(1024) with BK-SDM-v2, SDXL (2048) with SSD-1B, Segmind-Vega and KOALA");
}

std::string shape_text(const ModelInfo& info) {
  if (info.any_size) return concat(info.channels, " channels");
  return concat(info.channels, " x ", info.side, " x ", info.side);
}

}  // namespace

std::vector<ClipPlace> ConditionInfo::encoders() const {
  if (kind != ConditionKind::text) return {};
  if (pooled_width == 0) return {ClipPlace::first};
  if (scored) return {ClipPlace::second};
  return {ClipPlace::first, ClipPlace::second};
}

NoiseSchedule TrainingNoise::betas() const {
  check(!flow(), ErrorKind::internal, "the betas of a rectified flow, which has none");
  const NoiseSchedule schedule = kind == "linear" ? NoiseSchedule::linear(start, end, timesteps)
                                 : kind == "scaled_linear"
                                     ? NoiseSchedule::scaled_linear(start, end, timesteps)
                                 : kind == "trained" ? NoiseSchedule::of(trained)
                                                     : NoiseSchedule::cosine(timesteps);
  return zero_snr ? schedule.zero_terminal_snr() : schedule;
}

TensorFile open_weights(const ModelFiles& files, WeightChoice weights) {
  return is_shard_index(files.weights) ? read_sharded_checkpoint(files.weights)
                                       : open_checkpoint(files.weights, weights);
}

ModelInfo read_model_info(const std::string& path, WeightChoice weights,
                          std::optional<Parameterization> prediction, std::span<const Family> families) {
  const ModelFiles files = find_model_files(path, families);
  const TensorFile file = open_weights(files, weights);
  const ModelSource source{files, file, weights, prediction};
  const auto family =
      std::ranges::find_if(families, [&](const Family& candidate) { return candidate.recognise(source); });
  check(family != families.end() || !is_lora(open_weights(files, weights)), ErrorKind::input, file.path(),
        ": a LoRA, which changes a model and is none: name it with --lora");
  check(family != families.end(), ErrorKind::input, file.path(),
        ": no network of a family that is known: ", names_of(families), said_architecture(file));

  ModelInfo info = naming_file(file.path(), [&] { return family->describe(source); });
  info.path = path;
  info.files = files;
  info.weights = weights;
  info.dtypes = dtypes_of(file);
  for (const auto& [name, tensor] : file.tensors()) {
    info.file_bytes += static_cast<int64_t>(tensor.bytes.size());
    if (tensor.file) info.modified.emplace(tensor.file->path(), tensor.file->modified());
  }
  if (info.name.empty()) info.name = printable(name_of(files));
  if (prediction) {
    check(!info.noise.flow(), ErrorKind::usage, "--prediction ", name_of(*prediction), " for ", info.name,
          ", which is a rectified flow and predicts velocities");
    info.prediction = *prediction;
  }
  naming_file(file.path(), [&] { find_companions(file, info); });
  if (std::ssize(files.classes) == info.condition.num_classes) info.classes = files.classes;
  naming_file(files.scheduler.empty() ? file.path() : files.scheduler, [&] {
    if (!info.noise.flow()) info.noise.betas();  // throws for numbers that are no schedule
  });
  return info;
}

bool same_network(const ModelInfo& a, const ModelInfo& b) {
  const auto changes = [](const ModelInfo& model) {
    std::vector<std::pair<std::string, double>> of_network;  // and not of its texts alone
    for (const Lora& lora : model.loras)
      if (const auto part = lora.parts.find({});
          lora.weight != 0 && part != lora.parts.end() && !part->second.modules.empty())
        of_network.emplace_back(lora.content, lora.weight);
    return of_network;
  };
  return a.files.path == b.files.path && a.modified == b.modified && a.weights == b.weights &&
         a.dtype == b.dtype && changes(a) == changes(b);
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
  if (const std::string obstacle = condition_obstacle(a.condition, b.condition); !obstacle.empty())
    obstacles.push_back(obstacle);
  differ(a.noise.kind, b.noise.kind, "their noise schedules");
  differ(a.noise.start, b.noise.start, "the first betas of their noise schedules");
  differ(a.noise.end, b.noise.end, "the last betas of their noise schedules");
  differ(a.noise.timesteps, b.noise.timesteps, "their numbers of training timesteps");
  if (a.noise.trained != b.noise.trained)
    obstacles.push_back("the trained betas of their noise schedules differ");
  if (a.noise.zero_snr != b.noise.zero_snr)
    obstacles.push_back("only one of their noise schedules ends without any signal");
  if (!a.classes.empty() && !b.classes.empty() && a.classes != b.classes)
    obstacles.push_back("the names of their classes differ");
  if (a.latent_scale != b.latent_scale) obstacles.push_back("their latents are scaled differently");
  return obstacles;
}

}  // namespace tstitch
