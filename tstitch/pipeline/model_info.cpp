#include "tstitch/pipeline/model_info.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "tstitch/base/error.h"
#include "tstitch/io/json.h"
#include "tstitch/io/safetensors.h"
#include "tstitch/io/sharded.h"
#include "tstitch/pipeline/config_reader.h"
#include "tstitch/pipeline/diffusers_dit.h"

namespace tstitch {
namespace {

using nlohmann::json;

void check_sizes(const DiTConfig& c, const std::string& where) {
  check(c.input_size % c.patch_size == 0, ErrorKind::input, where, ": latents of ", c.input_size,
        " do not divide into patches of ", c.patch_size);
  check(c.hidden_size % c.num_heads == 0, ErrorKind::input, where, ": hidden_size ", c.hidden_size,
        " does not divide into ", c.num_heads, " heads");
  check(c.hidden_size % 4 == 0, ErrorKind::input, where, ": hidden_size is ", c.hidden_size,
        ", expected a multiple of 4");
}

void read_config(const json& object, const std::string& where, ModelInfo& info) {
  const ConfigReader reader(object, where);
  std::string architecture = "DiT", latent;
  reader.read("architecture", architecture, {"DiT"});

  DiTConfig& c = info.config;
  reader.read("input_size", c.input_size, 1, 4096);
  reader.read("patch_size", c.patch_size, 1, 64);
  reader.read("in_channels", c.in_channels, 1, 256);
  reader.read("hidden_size", c.hidden_size, 4, 65536);
  reader.read("depth", c.depth, 1, 1024);
  reader.read("num_heads", c.num_heads, 1, 1024);
  reader.read("mlp_ratio", c.mlp_ratio, 0.01, 64);
  reader.read("num_classes", c.num_classes, 1, 10'000'000);
  reader.read("learn_sigma", c.learn_sigma);
  check_sizes(c, where);

  int64_t timesteps = info.betas.timesteps;
  reader.read("betas", info.betas.kind, {"linear", "scaled_linear"});
  reader.read("beta_start", info.betas.start, 0, 1);
  reader.read("beta_end", info.betas.end, 0, 1);
  reader.read("timesteps", timesteps, 1, 1'000'000);
  info.betas.timesteps = static_cast<int>(timesteps);

  reader.read("latent", latent);
  info.pixels = latent.starts_with("pixels");
  check(!info.pixels || c.in_channels == 1 || c.in_channels == 3, ErrorKind::input, where, ": pixels of ",
        c.in_channels, " channels, expected 1 or 3");
  reader.read("classes", info.classes);
  check(info.classes.empty() || static_cast<int64_t>(info.classes.size()) == c.num_classes, ErrorKind::input,
        where, ": ", info.classes.size(), " class names for ", c.num_classes, " classes");
  reader.read("name", info.name);
  reader.read("cfg_scale", info.cfg_scale, 0, 100);
}

// scheduler_config.json of diffusers, for what the training fixed: its betas. How to sample is the user's
// choice.
void read_scheduler(const std::string& path, BetaSchedule& betas) {
  const json object = parse_json_file(path);
  const ConfigReader reader(object, path);
  int64_t timesteps = betas.timesteps;
  std::string prediction = "epsilon";
  reader.read("beta_schedule", betas.kind, {"linear", "scaled_linear"});
  reader.read("beta_start", betas.start, 0, 1);
  reader.read("beta_end", betas.end, 0, 1);
  reader.read("num_train_timesteps", timesteps, 1, 1'000'000);
  reader.read("prediction_type", prediction, {"epsilon"});
  betas.timesteps = static_cast<int>(timesteps);
}

std::string dtypes_of(const TensorFile& file) {
  std::set<std::string> names;
  for (const auto& [name, tensor] : file.tensors()) names.insert(tensor.dtype_name);
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// A file's name without its extension, or a folder's.
std::string name_of(const ModelFiles& files) {
  const std::filesystem::path path = std::filesystem::path(files.path).lexically_normal();
  if (files.path == files.weights) return path.stem().string();
  return path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
}

// The weights of a file that names them as the models do.
class FileWeights final : public WeightSource {
 public:
  explicit FileWeights(const TensorFile& file) : file_(&file) {}

  std::optional<Shape> shape(const std::string& name) const override {
    const auto found = file_->tensors().find(name);
    if (found == file_->tensors().end() || found->second.shape.size() > Shape::kMaxRank) return std::nullopt;
    return Shape(found->second.shape);
  }

  Tensor load(const std::string& name, const Shape& expected, DType dtype) const override {
    return file_->load(name, expected, dtype);
  }

 private:
  const TensorFile* file_;
};

std::string shape_text(const ModelInfo& info) {
  const DiTConfig& c = info.config;
  return concat(c.in_channels, " x ", c.input_size, " x ", c.input_size);
}

}  // namespace

NoiseSchedule BetaSchedule::schedule() const {
  return kind == "linear" ? NoiseSchedule::linear(start, end, timesteps)
                          : NoiseSchedule::scaled_linear(start, end, timesteps);
}

TensorFile open_weights(const ModelFiles& files) {
  return files.weights.ends_with(".index.json") ? read_sharded(files.weights)
                                                : read_safetensors(files.weights);
}

std::unique_ptr<WeightSource> official_weights(const TensorFile& file) {
  if (is_diffusers_dit(file)) return std::make_unique<DiffusersDiTWeights>(file);
  return std::make_unique<FileWeights>(file);
}

ModelInfo read_model_info(const std::string& path) {
  ModelInfo info;
  info.path = path;
  info.files = find_model_files(path);
  const TensorFile file = open_weights(info.files);
  info.dtypes = dtypes_of(file);
  for (const auto& [name, tensor] : file.tensors())
    info.file_bytes += static_cast<int64_t>(tensor.bytes.size());

  if (const auto config = file.metadata().find("config"); config != file.metadata().end()) {
    const std::string where = concat(file.path(), ": metadata \"config\"");
    read_config(parse_json(config->second, where), where, info);
  } else if (!info.files.config.empty()) {
    const json object = parse_json_file(info.files.config);
    if (is_diffusers_dit(file)) {
      info.config = read_diffusers_dit_config(object, info.files.config);
      check_sizes(info.config, info.files.config);
    } else {
      read_config(object, info.files.config, info);
    }
  } else {
    info.config = infer_dit_config(*official_weights(file));
  }
  if (!info.files.scheduler.empty()) read_scheduler(info.files.scheduler, info.betas);
  if (std::ssize(info.files.classes) == info.config.num_classes) info.classes = info.files.classes;
  if (info.name.empty()) info.name = printable(name_of(info.files));
  info.betas.schedule();  // throws for numbers that are no schedule
  return info;
}

std::vector<std::string> stitch_obstacles(const ModelInfo& a, const ModelInfo& b) {
  std::vector<std::string> obstacles;
  const auto differ = [&](const auto& x, const auto& y, const std::string& what) {
    if (!(x == y)) obstacles.push_back(concat(what, " differ: ", x, " and ", y));
  };
  differ(shape_text(a), shape_text(b), "their latents (channels x height x width)");
  differ(std::string(a.pixels ? "pixels" : "encoded"), std::string(b.pixels ? "pixels" : "encoded"),
         "their latents");
  differ(a.config.num_classes, b.config.num_classes, "their numbers of classes");
  differ(a.betas.kind, b.betas.kind, "their noise schedules");
  differ(a.betas.start, b.betas.start, "the first betas of their noise schedules");
  differ(a.betas.end, b.betas.end, "the last betas of their noise schedules");
  differ(a.betas.timesteps, b.betas.timesteps, "their numbers of training timesteps");
  if (!a.classes.empty() && !b.classes.empty() && a.classes != b.classes)
    obstacles.push_back("the names of their classes differ");
  return obstacles;
}

}  // namespace tstitch
