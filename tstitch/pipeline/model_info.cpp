#include "tstitch/pipeline/model_info.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "tstitch/base/error.h"
#include "tstitch/io/json.h"

namespace tstitch {
namespace {

using nlohmann::json;

// The values of a configuration object, each with its type and range checked.
class ConfigReader {
 public:
  ConfigReader(const json& object, std::string where) : object_(object), where_(std::move(where)) {
    check(object.is_object(), ErrorKind::input, where_, ": expected a JSON object");
  }

  void read(const char* key, int64_t& value, int64_t low, int64_t high) const {
    const json* found = find(key);
    if (!found) return;
    const bool fits = found->is_number_integer() && *found >= low && *found <= high;
    check(fits, ErrorKind::input, where_, ": \"", key, "\" is ", shown(*found), ", expected an integer ", low,
          " ... ", high);
    value = found->get<int64_t>();
  }

  void read(const char* key, double& value, double low, double high) const {
    const json* found = find(key);
    if (!found) return;
    check(found->is_number() && *found >= low && *found <= high, ErrorKind::input, where_, ": \"", key,
          "\" is ", shown(*found), ", expected a number ", low, " ... ", high);
    value = found->get<double>();
  }

  void read(const char* key, bool& value) const {
    const json* found = find(key);
    if (!found) return;
    check(found->is_boolean(), ErrorKind::input, where_, ": \"", key, "\" is ", shown(*found),
          ", expected true or false");
    value = found->get<bool>();
  }

  void read(const char* key, std::string& value) const {
    const json* found = find(key);
    if (!found) return;
    check(found->is_string(), ErrorKind::input, where_, ": \"", key, "\" is ", shown(*found),
          ", expected a string");
    value = printable(found->get<std::string>());
  }

  void read(const char* key, std::vector<std::string>& values) const {
    const json* found = find(key);
    if (!found) return;
    check(found->is_array(), ErrorKind::input, where_, ": \"", key, "\" is ", shown(*found),
          ", expected an array of strings");
    for (const json& element : *found) {
      check(element.is_string(), ErrorKind::input, where_, ": \"", key, "\" holds ", shown(element),
            ", expected strings");
      values.push_back(printable(element.get<std::string>()));
    }
  }

 private:
  const json* find(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  static std::string shown(const json& value) {
    return printable(value.dump(-1, ' ', true, json::error_handler_t::replace), 60);
  }

  const json& object_;
  std::string where_;
};

void read_config(const json& object, const std::string& where, ModelInfo& info) {
  const ConfigReader reader(object, where);
  std::string architecture = "DiT", latent;
  reader.read("architecture", architecture);
  check(architecture == "DiT", ErrorKind::input, where, ": the architecture is \"", architecture,
        "\", expected \"DiT\"");

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
  check(c.input_size % c.patch_size == 0, ErrorKind::input, where, ": input_size ", c.input_size,
        " does not divide into patches of ", c.patch_size);
  check(c.hidden_size % c.num_heads == 0, ErrorKind::input, where, ": hidden_size ", c.hidden_size,
        " does not divide into ", c.num_heads, " heads");
  check(c.hidden_size % 4 == 0, ErrorKind::input, where, ": hidden_size is ", c.hidden_size,
        ", expected a multiple of 4");

  int64_t timesteps = info.betas.timesteps;
  reader.read("betas", info.betas.kind);
  reader.read("beta_start", info.betas.start, 0, 1);
  reader.read("beta_end", info.betas.end, 0, 1);
  reader.read("timesteps", timesteps, 1, 1'000'000);
  info.betas.timesteps = static_cast<int>(timesteps);
  const std::string& kind = info.betas.kind;
  check(kind == "linear" || kind == "scaled_linear" || kind == "squaredcos_cap_v2", ErrorKind::input, where,
        ": \"betas\" is \"", kind, "\", expected \"linear\", \"scaled_linear\" or \"squaredcos_cap_v2\"");

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

std::string dtypes_of(const TensorFile& file) {
  std::set<std::string> names;
  for (const auto& [name, tensor] : file.tensors()) names.insert(tensor.dtype_name);
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string shape_text(const ModelInfo& info) {
  const DiTConfig& c = info.config;
  return concat(c.in_channels, " x ", c.input_size, " x ", c.input_size);
}

}  // namespace

NoiseSchedule BetaSchedule::schedule() const {
  return kind == "linear"          ? NoiseSchedule::linear(start, end, timesteps)
         : kind == "scaled_linear" ? NoiseSchedule::scaled_linear(start, end, timesteps)
                                   : NoiseSchedule::cosine(timesteps);
}

ModelInfo read_model_info(const TensorFile& file) {
  ModelInfo info;
  info.path = file.path();
  info.dtypes = dtypes_of(file);
  for (const auto& [name, tensor] : file.tensors())
    info.file_bytes += static_cast<int64_t>(tensor.bytes.size());

  const std::filesystem::path beside = std::filesystem::path(file.path()).parent_path() / "config.json";
  std::error_code ignored;
  if (const auto config = file.metadata().find("config"); config != file.metadata().end()) {
    const std::string where = concat(file.path(), ": metadata \"config\"");
    read_config(parse_json(config->second, where), where, info);
  } else if (std::filesystem::exists(beside, ignored)) {
    read_config(parse_json_file(beside.string()), beside.string(), info);
  } else {
    info.config = infer_dit_config(FileWeights(file));
  }
  if (info.name.empty()) info.name = printable(std::filesystem::path(file.path()).stem().string());
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

std::optional<Shape> FileWeights::shape(const std::string& name) const {
  const auto found = file_->tensors().find(name);
  if (found == file_->tensors().end() || found->second.shape.size() > Shape::kMaxRank) return std::nullopt;
  return Shape(found->second.shape);
}

Tensor FileWeights::load(const std::string& name, const Shape& expected, DType dtype) const {
  return file_->load(name, expected, dtype);
}

}  // namespace tstitch
