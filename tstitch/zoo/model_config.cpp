#include "tstitch/zoo/model_config.h"

#include "tstitch/base/error.h"
#include "tstitch/io/json.h"
#include "tstitch/zoo/config_reader.h"
#include "tstitch/zoo/noise_config.h"

namespace tstitch {
namespace {

using nlohmann::json;

const std::vector<std::string> kNoiseKinds = {"linear", "scaled_linear", "squaredcos_cap_v2", "flow"};

}  // namespace

bool has_config(const ModelSource& source) {
  return source.tensors.metadata().contains("config") || !source.files.config.empty();
}

ModelConfig find_config(const ModelSource& source) {
  const auto metadata = source.tensors.metadata().find("config");
  if (metadata == source.tensors.metadata().end()) return read_config_file(source.files.config);
  const std::string where = concat(source.tensors.path(), ": metadata \"config\"");
  return {parse_json(metadata->second, where), where};
}

ModelConfig read_config_file(const std::string& path) { return {parse_json_file(path), path}; }

void read_own_config(const ModelConfig& config, ModelInfo& info) {
  const ConfigReader reader(config.object, config.where);
  int64_t timesteps = info.noise.timesteps;
  reader.read("betas", info.noise.kind, kNoiseKinds);
  reader.read("beta_start", info.noise.start, 0, 1);
  reader.read("beta_end", info.noise.end, 0, 1);
  reader.read("shift", info.noise.shift, 1e-3, 1e3);
  reader.read("timesteps", timesteps, 1, 1'000'000);
  info.noise.timesteps = static_cast<int>(timesteps);
  if (info.noise.flow()) describe_flow(info);
  read_prediction(reader, "prediction",
                  {{"eps", Parameterization::eps},
                   {"v", Parameterization::v},
                   {"x0", Parameterization::x0},
                   {"flow", Parameterization::flow}},
                  info.prediction);
  check(info.noise.flow() == (info.prediction == Parameterization::flow), ErrorKind::input, config.where,
        ": \"betas\" is \"", info.noise.kind, "\" but \"prediction\" is \"", name_of(info.prediction),
        "\": a rectified flow has both \"flow\"");

  std::string latent;
  reader.read("latent", latent);
  info.pixels = latent.starts_with("pixels");
  if (info.pixels) info.pixels_per_latent = 1;
  check(!info.pixels || info.channels == 1 || info.channels == 3, ErrorKind::input, config.where,
        ": pixels of ", info.channels, " channels, expected 1 or 3");
  reader.read("classes", info.classes);
  check(info.classes.empty() || std::ssize(info.classes) == info.condition.num_classes, ErrorKind::input,
        config.where, ": ", info.classes.size(), " class names for ", info.condition.num_classes, " classes");
  reader.read("name", info.name);
  reader.read("cfg_scale", info.defaults.cfg_scale, 0, 100);
}

int64_t autoencoder_factor(const json& object, const std::string& where) {
  std::vector<int64_t> levels;
  ConfigReader(object, where).read("block_out_channels", levels, 1, 65536);
  check(levels.size() <= 16, ErrorKind::input, where, ": \"block_out_channels\" has ", levels.size(),
        " levels, expected at most 16");
  return levels.empty() ? 8 : int64_t{1} << (levels.size() - 1);
}

void read_autoencoder_config(const json& object, const std::string& where, AutoencoderKLConfig& config) {
  const ConfigReader reader(object, where);
  std::string class_name = "AutoencoderKL";
  reader.read("_class_name", class_name, {"AutoencoderKL"});
  reader.read("norm_num_groups", config.norm_num_groups, 1, 1024);
  reader.read("scaling_factor", config.scaling_factor, 1e-6, 1e6);
  reader.read("shift_factor", config.shift_factor, -1e6, 1e6);
  for (const int64_t channels : config.block_out_channels)
    check(channels % config.norm_num_groups == 0, ErrorKind::input, where, ": \"norm_num_groups\" is ",
          config.norm_num_groups, ", which does not divide ", channels, " channels");
}

}  // namespace tstitch
