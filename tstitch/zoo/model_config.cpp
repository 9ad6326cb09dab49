#include "tstitch/zoo/model_config.h"

#include <map>

#include "tstitch/base/error.h"
#include "tstitch/io/json.h"
#include "tstitch/zoo/config_reader.h"

namespace tstitch {
namespace {

using nlohmann::json;

const std::vector<std::string> kBetaSchedules = {"linear", "scaled_linear", "squaredcos_cap_v2"};
const std::vector<std::string> kNoiseKinds = {"linear", "scaled_linear", "squaredcos_cap_v2", "flow"};

// What a rectified flow is sampled with. Its shifted timesteps are no shares of the steps, so shares are
// rounded as the paper's text says.
void describe_flow(ModelInfo& info) {
  info.noise.kind = "flow";
  info.prediction = Parameterization::flow;
  info.defaults.sampler = "flow_euler";
  info.defaults.switch_rule = SwitchRule::round;
}

// diffusers' schedulers by our names.
const std::map<std::string, std::string> kSamplers = {{"DDIMScheduler", "ddim"},
                                                      {"DDPMScheduler", "ddpm"},
                                                      {"PNDMScheduler", "pndm"},
                                                      {"EulerDiscreteScheduler", "euler"},
                                                      {"EulerAncestralDiscreteScheduler", "euler_a"},
                                                      {"HeunDiscreteScheduler", "heun"},
                                                      {"DPMSolverMultistepScheduler", "dpm++2m"},
                                                      {"UniPCMultistepScheduler", "unipc"},
                                                      {"LCMScheduler", "lcm"}};

using Predictions = std::map<std::string, Parameterization>;

void read_prediction(const ConfigReader& reader, const char* key, const Predictions& known,
                     Parameterization& prediction) {
  std::vector<std::string> names;
  for (const auto& [name, value] : known) names.push_back(name);
  std::string name;
  reader.read(key, name, names);
  if (!name.empty()) prediction = known.at(name);
}

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

void read_training(const ModelConfig& scheduler, ModelInfo& info) {
  const ConfigReader reader(scheduler.object, scheduler.where);
  std::string class_name;
  reader.read("_class_name", class_name);
  TrainingNoise& betas = info.noise;
  int64_t timesteps = betas.timesteps;
  if (class_name == "FlowMatchEulerDiscreteScheduler") {
    describe_flow(info);
    reader.read("num_train_timesteps", timesteps, 1, 1'000'000);
    reader.read("shift", betas.shift, 1e-3, 1e3);
    betas.timesteps = static_cast<int>(timesteps);
    return;
  }
  reader.read("beta_schedule", betas.kind, kBetaSchedules);
  reader.read("beta_start", betas.start, 0, 1);
  reader.read("beta_end", betas.end, 0, 1);
  reader.read("num_train_timesteps", timesteps, 1, 1'000'000);
  betas.timesteps = static_cast<int>(timesteps);
  read_prediction(reader, "prediction_type",
                  {{"epsilon", Parameterization::eps},
                   {"v_prediction", Parameterization::v},
                   {"sample", Parameterization::x0}},
                  info.prediction);
}

void read_sampling(const ModelConfig& scheduler, ModelInfo& info) {
  if (info.noise.flow()) return;
  const ConfigReader reader(scheduler.object, scheduler.where);
  SamplingDefaults& defaults = info.defaults;
  std::string class_name, spacing;
  reader.read("_class_name", class_name);
  // Unknown schedulers leave our default.
  if (const auto sampler = kSamplers.find(class_name); sampler != kSamplers.end())
    defaults.sampler = sampler->second;
  defaults.ddim_spacing = Spacing::leading;
  int64_t offset = 0;
  bool ends_clean = true, karras = false;
  reader.read("steps_offset", offset, 0, 1'000'000);
  reader.read("set_alpha_to_one", ends_clean);
  reader.read("use_karras_sigmas", karras);
  reader.read("timestep_spacing", spacing, {"leading", "linspace", "trailing"});
  defaults.spacing.offset = static_cast<int>(offset);
  defaults.spacing.ends_clean = ends_clean;
  if (karras) defaults.spacing.sigmas = SigmaSpacing::karras;
  if (!spacing.empty()) defaults.spacing.spacing = parse_spacing(spacing);
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
