#include "tstitch/zoo/families/dit.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/zoo/config_reader.h"
#include "tstitch/zoo/diffusers_dit.h"
#include "tstitch/zoo/dit_network.h"
#include "tstitch/zoo/file_weights.h"
#include "tstitch/zoo/model_config.h"
#include "tstitch/zoo/scheduler_config.h"

namespace tstitch {
namespace {

void check_sizes(const DiTConfig& c, const std::string& where) {
  check(c.input_size % c.patch_size == 0, ErrorKind::input, where, ": latents of ", c.input_size,
        " do not divide into patches of ", c.patch_size);
  check(c.hidden_size % c.num_heads == 0, ErrorKind::input, where, ": hidden_size ", c.hidden_size,
        " does not divide into ", c.num_heads, " heads");
  check(c.hidden_size % 4 == 0, ErrorKind::input, where, ": hidden_size is ", c.hidden_size,
        ", expected a multiple of 4");
}

// The sizes in our own configuration.
DiTConfig read_sizes(const ModelConfig& config) {
  const ConfigReader reader(config.object, config.where);
  std::string architecture = "DiT";
  reader.read("architecture", architecture, {"DiT"});
  DiTConfig c;
  reader.read("input_size", c.input_size, 1, 4096);
  reader.read("patch_size", c.patch_size, 1, 64);
  reader.read("in_channels", c.in_channels, 1, 256);
  reader.read("hidden_size", c.hidden_size, 4, 65536);
  reader.read("depth", c.depth, 1, 1024);
  reader.read("num_heads", c.num_heads, 1, 1024);
  reader.read("mlp_ratio", c.mlp_ratio, 0.01, 64);
  reader.read("num_classes", c.num_classes, 1, 10'000'000);
  reader.read("learn_sigma", c.learn_sigma);
  return c;
}

}  // namespace

nlohmann::ordered_json DiTArchitecture::details() const {
  return {{"patch_size", config_.patch_size}, {"hidden_size", config_.hidden_size},
          {"depth", config_.depth},           {"num_heads", config_.num_heads},
          {"mlp_ratio", config_.mlp_ratio},   {"learn_sigma", config_.learn_sigma}};
}

std::string DiTArchitecture::form_obstacle(const CheaperForm& form) const {
  const int64_t side = config_.input_size / config_.patch_size;
  if (form.merge > 0)
    return concat("it is a ", name(), ", whose ", side * side,
                  " tokens are few: their attention to each other is little of its work");
  if (form.cache.holds())
    return concat("it is a ", name(), ", whose blocks have no skips that would do without the inner ones");
  if (const std::string outside = number_obstacle(form.skip, blocks()); !outside.empty()) return outside;
  return std::ssize(form.skip) < blocks() ? "" : "that is every block";
}

double DiTArchitecture::flops_in(const CheaperForm& form, double, int64_t height, int64_t width) const {
  return flops(height, width) -
         static_cast<double>(form.skip.size()) * dit_block_flops(config_, height, width);
}

std::unique_ptr<WeightSource> DiTArchitecture::weights(const TensorFile& file) const {
  if (is_diffusers_dit(file)) return std::make_unique<DiffusersDiTWeights>(file);
  return std::make_unique<FileWeights>(file);
}

std::unique_ptr<Network> DiTArchitecture::load(Backend& backend, const WeightSource& weights) const {
  return std::make_unique<DiTNetwork>(DiT(config_, Weights(backend, weights)));
}

bool is_dit(const ModelSource& source) {
  return source.tensors.tensors().contains("x_embedder.proj.weight") || is_diffusers_dit(source.tensors) ||
         has_config(source);
}

ModelInfo describe_dit(const ModelSource& source) {
  ModelInfo info = has_config(source)
                       ? describe_dit(find_config(source))
                       : dit_info(infer_dit_config(*DiTArchitecture({}).weights(source.tensors)));
  if (!source.files.scheduler.empty()) {
    const ModelConfig scheduler = read_scheduler_file(source.files.scheduler);
    read_training(scheduler, info);
    // With betas a DiT is sampled as Meta's code does, whatever its folder says.
    if (info.noise.flow()) read_sampling(scheduler, info);
  }
  return info;
}

ModelInfo describe_dit(const ModelConfig& config) {
  const bool diffusers = config.object.is_object() && config.object.contains("_class_name");
  const DiTConfig sizes =
      diffusers ? read_diffusers_dit_config(config.object, config.where) : read_sizes(config);
  check_sizes(sizes, config.where);
  ModelInfo info = dit_info(sizes);
  if (!diffusers) read_own_config(config, info);
  return info;
}

ModelInfo dit_info(const DiTConfig& config, const std::string& name) {
  ModelInfo info{.path = name, .name = name};
  info.architecture = std::make_shared<DiTArchitecture>(config);
  info.channels = config.in_channels;
  info.side = config.input_size;
  // Four channels are Stable Diffusion 1's; sixteen have been scaled by a different number in every family.
  if (config.in_channels != 4) info.latent_scale.reset();
  info.condition = {.kind = ConditionKind::classes, .num_classes = config.num_classes};
  // Meta's code guides 3 of 4 channels (tstitch/diffusion/guidance.h).
  info.defaults.cfg_channels = config.in_channels == 4 ? 3 : 0;
  return info;
}

}  // namespace tstitch
