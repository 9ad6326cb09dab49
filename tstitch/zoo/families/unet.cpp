#include "tstitch/zoo/families/unet.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "tstitch/base/error.h"
#include "tstitch/models/control_net.h"
#include "tstitch/models/unet.h"
#include "tstitch/models/unet_keys.h"
#include "tstitch/zoo/config_reader.h"
#include "tstitch/zoo/diffusers_unet.h"
#include "tstitch/zoo/families/sdxl.h"
#include "tstitch/zoo/file_weights.h"
#include "tstitch/zoo/model_config.h"
#include "tstitch/zoo/scheduler_config.h"
#include "tstitch/zoo/unet_network.h"
#include "tstitch/zoo/unet_weights.h"

namespace tstitch {
namespace {

constexpr const char* kClassTable = "cond_stage_model.embedding.weight";
constexpr int64_t kTextTokens = 77;       // of one chunk of text
constexpr int64_t kSecondContext = 1024;  // Stable Diffusion 2's

struct Known {
  const char *preset, *name;
};
constexpr std::array<Known, 16> kKnown = {{{"sd1", "Stable Diffusion 1"},
                                           {"sd2", "Stable Diffusion 2"},
                                           {"bk_base", "BK-SDM Base"},
                                           {"bk_small", "BK-SDM Small"},
                                           {"bk_tiny", "BK-SDM Tiny"},
                                           {"bk_v2_base", "BK-SDM-v2 Base"},
                                           {"bk_v2_small", "BK-SDM-v2 Small"},
                                           {"bk_v2_tiny", "BK-SDM-v2 Tiny"},
                                           {"ldm", "LDM"},
                                           {"ldm_s", "LDM-S"},
                                           {"sdxl", "Stable Diffusion XL"},
                                           {"sdxl_refiner", "Stable Diffusion XL refiner"},
                                           {"ssd1b", "SSD-1B"},
                                           {"vega", "Segmind-Vega"},
                                           {"koala_1b", "KOALA-1B"},
                                           {"koala_700m", "KOALA-700M"}}};

// Of the names of its tensors; nothing where there is no U-Net.
std::optional<std::string> find_prefix(const TensorFile& file) {
  const FileWeights weights(file);
  for (const char* prefix : {"", "model.diffusion_model.", "unet."})
    if (UNetKeys::recognises(weights, prefix)) return prefix;
  return std::nullopt;
}

// The embedding of classes beside a U-Net of contexts of `width`, where there is one.
std::optional<ConditionInfo> find_class_tokens(const TensorFile& file, int64_t width) {
  const auto table = FileWeights(file).shape(kClassTable);
  if (!table) return std::nullopt;
  check(table->rank() == 2 && (*table)[1] == width, ErrorKind::input, file.path(), ": tensor \"", kClassTable,
        "\" has the shape ", *table, ", expected (classes, ", width, ")");
  return ConditionInfo{.kind = ConditionKind::class_tokens,
                       .num_classes = (*table)[0],
                       .width = width,
                       .class_table = kClassTable};
}

// Rombach et al. 2022, class-conditional on ImageNet (cin-ldm-vq-f8), as T-Stitch samples it.
ModelInfo class_conditional(const ConditionInfo& condition) {
  ModelInfo info;
  info.condition = condition;
  info.side = 32;
  info.latent_scale = 1;
  info.noise = {.kind = "scaled_linear", .start = 0.0015, .end = 0.0195};
  info.defaults = {.eta = 1,
                   .switch_rule = SwitchRule::ldm,
                   .cfg_scale = 3,
                   .ddim_spacing = Spacing::leading,
                   .spacing = {.offset = 1, .ends_clean = false}};
  return info;
}

// Stable Diffusion 1 and 2 and what descends from them.
ModelInfo text_conditional(int64_t width) {
  ModelInfo info;
  info.condition = {.kind = ConditionKind::text, .width = width};
  info.any_size = true;
  info.side = 64;
  info.latent_scale = 0.18215;
  info.noise = {.kind = "scaled_linear", .start = 0.00085, .end = 0.012};
  info.defaults = {.sampler = "pndm",
                   .switch_rule = SwitchRule::step,
                   .cfg_scale = 7.5,
                   .ddim_spacing = Spacing::leading,
                   .spacing = {.offset = 1, .ends_clean = false}};
  return info;
}

// Whether it is SDXL with fewer layers.
bool is_pruned_sdxl(const UNetConfig& config) {
  const UNetConfig whole = unet_preset("sdxl");
  return config.block_out_channels == whole.block_out_channels &&
         config.context_width == whole.context_width && config.added_width == whole.added_width &&
         unet_parameters(config) < unet_parameters(whole);
}

std::string known_name(const UNetConfig& config) {
  for (const auto& [preset, name] : kKnown) {
    UNetConfig known = unet_preset(preset);
    known.in_channels = config.in_channels;  // inpainting has more
    known.guidance_width = config.guidance_width;
    if (known == config) return name;
  }
  if (!is_pruned_sdxl(config)) return "U-Net";
  char billions[16];
  std::snprintf(billions, sizeof billions, "%.2f", static_cast<double>(unet_parameters(config)) / 1e9);
  return concat("Stable Diffusion XL, pruned (", billions, " B)");
}

// SDXL-Turbo and SD-Turbo (Sauer et al. 2023, arXiv 2311.17042) say so by nothing but the side of their
// training, 512 pixels, beside a scheduler that such networks do not come with otherwise.
bool is_turbo(const ModelInfo& info) {
  const SamplingDefaults& defaults = info.defaults;
  return info.side == 64 && (info.condition.pooled_width > 0 || info.condition.width == kSecondContext) &&
         (defaults.sampler == "euler" || defaults.sampler == "euler_a") &&
         defaults.spacing.spacing == Spacing::trailing && info.prediction == Parameterization::eps;
}

// How those are sampled that were distilled to need few steps, as far as their files say so: those that are
// told the scale of guidance as diffusers' LatentConsistencyModelPipeline does, the others without guidance.
void describe_few_steps(ModelInfo& info) {
  SamplingDefaults& defaults = info.defaults;
  const bool told = info.condition.told_guidance,
             consistent = defaults.sampler == "lcm" || defaults.sampler == "tcd";
  if (!told && !consistent && !is_turbo(info)) return;
  defaults.steps = 4;
  defaults.cfg_scale = told ? 8.5 : 1;
  defaults.spacing.strength_keeps_steps =
      told && info.condition.pooled_width == 0;  // SDXL has no such pipeline
}

}  // namespace

std::string UNetArchitecture::name() const {
  return known_name(config_) + (config_.guidance_width > 0 ? ", distilled (LCM)" : "");
}

nlohmann::ordered_json UNetArchitecture::details() const {
  nlohmann::ordered_json details = {{"block_out_channels", config_.block_out_channels},
                                    {"heads", config_.heads},
                                    {"transformer_depths", config_.down},
                                    {"context", config_.context_width}};
  if (config_.guidance_width > 0) details["guidance"] = config_.guidance_width;
  return details;
}

double UNetArchitecture::flops(int64_t height, int64_t width) const {
  return unet_flops(config_, height, width, tokens_);
}

std::string UNetArchitecture::form_obstacle(const CheaperForm& form) const {
  if (form.merge > 0 && !unet_merges_tokens(config_))
    return concat("it is a ", name(), ", which has no tokens of full resolution that attend to each other");
  if (const std::string outside = number_obstacle(form.skip, blocks()); !outside.empty()) return outside;
  return unet_skip_obstacle(config_, form.skip);
}

double UNetArchitecture::flops_in(const CheaperForm& form, double whole, int64_t height,
                                  int64_t width) const {
  const auto& [merge, cache, skip] = form;
  return whole * unet_flops(config_, height, width, tokens_, merge, skip) +
         (1 - whole) *
             unet_shallow_flops(config_, height, width, tokens_, merge, innermost_skip(cache.form), skip);
}

int64_t UNetArchitecture::kept_bytes(const CheaperForm& form, int64_t height, int64_t width,
                                     DType compute) const {
  if (!form.cache.holds()) return 0;
  return unet_kept_bytes(config_, height, width, innermost_skip(form.cache.form), compute);
}

std::unique_ptr<WeightSource> UNetArchitecture::weights(const TensorFile& file) const {
  return std::make_unique<UNetWeights>(file, prefix_, choice_);
}

std::string UNetArchitecture::control_obstacle(const ControlNetConfig& net) const {
  return tstitch::control_obstacle(net, config_);
}

bool UNetArchitecture::has_encoder(const UNetConfig& unet) const {
  UNetConfig own = config_, other = unet;
  for (UNetConfig* one : {&own, &other}) {
    one->up.clear();
    one->out_channels = 0;
  }
  return own == other;
}

std::unique_ptr<Network> UNetArchitecture::load(Backend& backend, const WeightSource& weights) const {
  return std::make_unique<UNetNetwork>(UNet(config_, Weights(backend, weights)));
}

std::vector<std::string> known_networks_steered_by(const ControlNetConfig& net) {
  std::vector<std::string> names;
  for (const auto& [preset, name] : kKnown)
    if (control_obstacle(net, unet_preset(preset)).empty()) names.emplace_back(name);
  return names;
}

bool is_unet(const ModelSource& source) { return find_prefix(source.tensors).has_value(); }

ModelInfo describe_unet(const ModelSource& source) {
  const TensorFile& file = source.tensors;
  check(!ControlNetKeys::recognises(FileWeights(file)) || find_prefix(file) != "", ErrorKind::input,
        file.path(), ": a ControlNet, which steers a model and is none: name it with --control-net");
  const std::string prefix = find_prefix(file).value();
  // Beside a checkpoint of everything may lie the configuration of anything.
  const bool described = !source.files.config.empty() && file.tensors().contains("conv_in.weight");
  const ModelConfig config = described ? read_config_file(source.files.config) : ModelConfig();
  const UNetConfig unet = described ? read_diffusers_unet_config(config.object, config.where)
                                    : infer_unet_config(UNetKeys(FileWeights(file), prefix));
  const auto class_tokens = find_class_tokens(file, unet.context_width);
  // Beside a latent the mask, and what is left of the picture as another.
  const bool sees_mask = unet.in_channels == 2 * unet.out_channels + 1 && !class_tokens;
  check(unet.in_channels == unet.out_channels || sees_mask, ErrorKind::input, file.path(), ": a U-Net of ",
        unet.in_channels, " channels that gives ", unet.out_channels,
        ": networks that are told more than the latent (depth, another picture) cannot be stitched, but for a"
        " mask and what it leaves (inpainting)");
  check(!class_tokens || unet.added_width == 0, ErrorKind::input, file.path(), ": a U-Net of classes (\"",
        kClassTable, "\") that is told a text and sizes, too");
  ModelInfo info = class_tokens ? class_conditional(*class_tokens) : text_conditional(unet.context_width);
  if (!class_tokens && unet.added_width > 0) describe_sdxl(source, unet, config, info);
  info.architecture =
      std::make_shared<UNetArchitecture>(unet, prefix, class_tokens ? 1 : kTextTokens, source.weights);
  info.channels = unet.out_channels;
  info.condition.sees_mask = sees_mask;
  info.condition.told_guidance = unet.guidance_width > 0;
  if (info.condition.told_guidance) info.defaults.sampler = "lcm";  // it was distilled
  if (described) {
    ConfigReader(config.object, config.where).read("sample_size", info.side, 1, 4096);
  } else if (unet.context_width == kSecondContext) {
    // No shape shows it: most files of Stable Diffusion 2 are those of 768 pixels, which predict v; those of
    // 512, and the one for inpainting, predict eps.
    info.prediction = source.prediction.value_or(sees_mask ? Parameterization::eps : Parameterization::v);
    info.side = info.prediction == Parameterization::v ? 96 : 64;
  }
  if (!source.files.scheduler.empty()) {
    const ModelConfig scheduler = read_scheduler_file(source.files.scheduler);
    read_training(scheduler, info);
    if (!class_tokens) read_sampling(scheduler, info);
  }
  describe_few_steps(info);
  return info;
}

}  // namespace tstitch
