#include "tstitch/zoo/lora_names.h"

#include <algorithm>

#include "tstitch/base/error.h"
#include "tstitch/models/module_names.h"
#include "tstitch/models/unet_keys.h"

namespace tstitch {
namespace {

constexpr int64_t kStride = 3;  // blocks of a stage in the original code's names, of the published networks
constexpr int64_t kMostTextLayers = 32;  // OpenCLIP's ViT-bigG

// The network that the configuration is, or may have been pruned from.
UNetConfig unpruned(const UNetConfig& config) {
  const bool sd = config.context_width == 768 || config.context_width == 1024;
  if (config.added_width == 0 && !sd) return config;
  UNetConfig whole = unet_preset(config.added_width == 0        ? "sd1"
                                 : config.context_width == 1280 ? "sdxl_refiner"
                                                                : "sdxl");
  whole.guidance_width = config.guidance_width;
  return whole;
}

// What the network it was pruned from calls that module.
std::string unpruned_name(const std::string& name, const UNetConfig& config, const UNetConfig& whole) {
  for (int64_t i = 0; i < config.levels(); ++i) {
    const std::string block = concat("up_blocks.", i, ".");
    if (!name.starts_with(block)) continue;
    std::string rest = name.substr(block.size());
    const int64_t level = config.levels() - 1 - i;
    if (config.up[static_cast<size_t>(level)].size() == 2)
      for (const std::string part : {"resnets.", "attentions."})
        if (rest.starts_with(part + "1.")) rest[part.size()] = '2';
    return concat("up_blocks.", std::max(i, whole.levels() - 1 - level), ".", rest);
  }
  return name;
}

// Of diffusers' module `name`, by these names.
void add_diffusers(SpelledNames& names, const std::string& name, const std::string& module) {
  names.try_emplace(underscored(name), module);
  // The older ones: "attn1.processor.to_q", "attn1.processor.to_out".
  const size_t map = name.find(".to_");
  if (map == name.npos) return;
  std::string of_processor = concat(name.substr(0, map), ".processor", name.substr(map));
  if (of_processor.ends_with(".0")) of_processor.erase(of_processor.size() - 2);
  names.try_emplace(underscored(of_processor), module);
}

void add_original(SpelledNames& names, const std::string& name, const std::string& module) {
  constexpr std::string_view kWeight = ".weight";
  for (const int upsampler : {1, 2}) {
    std::string original = original_unet_name(concat(name, kWeight), kStride, upsampler);
    original.erase(original.size() - kWeight.size());
    names.try_emplace(underscored(original), module);
  }
}

}  // namespace

std::string underscored(std::string_view name) {
  std::string spelled(name);
  std::ranges::replace(spelled, '.', '_');
  return spelled;
}

LoraNames unet_lora_names(const UNetConfig& config) {
  const UNetConfig whole = unpruned(config);
  LoraNames names;
  for (const std::string& module : unet_modules(config)) {
    const std::string before = unpruned_name(module, config, whole);
    add_diffusers(names.own, module, module);
    add_diffusers(names.unpruned, before, module);
    for (SpelledNames* all : {&names.own, &names.unpruned}) add_original(*all, before, module);
  }
  for (const std::string& gone : unet_modules(whole)) {
    add_diffusers(names.unpruned, gone, "");
    add_original(names.unpruned, gone, "");
  }
  return names;
}

const SpelledNames& clip_text_lora_names() {
  static const SpelledNames names = [] {
    SpelledNames all;
    for (const std::string& module : clip_text_modules(kMostTextLayers))
      for (const char* prefix : {"", "text_model."}) all.try_emplace(underscored(prefix + module), module);
    return all;
  }();
  return names;
}

}  // namespace tstitch
