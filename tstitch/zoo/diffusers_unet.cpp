#include "tstitch/zoo/diffusers_unet.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tstitch/base/error.h"
#include "tstitch/zoo/config_reader.h"
#include "tstitch/zoo/expected_values.h"

namespace tstitch {
namespace {

using nlohmann::json;
using Middle = UNetConfig::Middle;
using Numbers = std::vector<int64_t>;

constexpr int64_t kMostLevels = 16, kMostLayers = 16, kMostDepth = 256;

bool is_there(const json& object, const char* key) {
  return object.contains(key) && !object.at(key).is_null();
}

// A number for all, or one for each of `count`, each in 0 ... high.
Numbers read_each(const json& object, const std::string& where, const char* key, size_t count,
                  int64_t otherwise, int64_t high) {
  const ConfigReader reader(object, where);
  Numbers values(count, otherwise);
  if (is_there(object, key) && object.at(key).is_array()) {
    reader.read(key, values, 0, high);
  } else {
    reader.read(key, otherwise, 0, high);
    values.assign(count, otherwise);
  }
  check(values.size() == count, ErrorKind::input, where, ": \"", key, "\" has ", values.size(),
        " values, expected ", count, ", one for each level");
  return values;
}

// The same, where the number of a level may itself be a list, of `layers` numbers or more (the others are not
// used). Levels in the order of the file.
UNetConfig::Depths read_depths(const json& object, const std::string& where, const char* key,
                               const Numbers& layers) {
  UNetConfig::Depths depths;
  const json all = is_there(object, key) ? object.at(key) : json(1);
  check(!all.is_array() || all.size() == layers.size(), ErrorKind::input, where, ": \"", key, "\" has ",
        all.size(), " values, expected ", layers.size(), ", one for each level");
  for (size_t i = 0; i < layers.size(); ++i) {
    const json level = {{key, all.is_array() ? all[i] : all}};
    const auto count = static_cast<size_t>(layers[i]);
    if (level.at(key).is_array()) {
      Numbers numbers;
      ConfigReader(level, where).read(key, numbers, 0, kMostDepth);
      check(numbers.size() >= count, ErrorKind::input, where, ": \"", key, "\" has ", numbers.size(),
            " values for a level, expected ", count, ", one for each layer");
      numbers.resize(count);
      depths.push_back(numbers);
    } else {
      int64_t depth = 1;
      ConfigReader(level, where).read(key, depth, 0, kMostDepth);
      depths.emplace_back(count, depth);
    }
  }
  return depths;
}

// Whether each block has transformers, by its type.
std::vector<bool> read_types(const json& object, const std::string& where, const char* key,
                             std::vector<std::string> types, const char* with, const char* without) {
  ConfigReader(object, where).read(key, types);
  std::vector<bool> attends;
  for (const std::string& type : types) {
    check(type == with || type == without, ErrorKind::input, where, ": \"", key, "\" has \"", type,
          "\", expected \"", with, "\" or \"", without, "\"");
    attends.push_back(type == with);
  }
  check(!types.empty() && types.size() <= kMostLevels, ErrorKind::input, where, ": \"", key, "\" has ",
        types.size(), " blocks, expected 1 ... ", kMostLevels);
  return attends;
}

// What changes the network and is not known here must have the value that leaves it as it is.
void refuse_unknown_parts(const json& object, const std::string& where) {
  static const std::vector<ExpectedValue> all = {
      {"_class_name", "UNet2DConditionModel"},
      {"act_fn", "silu"},
      {"attention_type", "default"},
      {"center_input_sample", false},
      {"class_embed_type", nullptr},
      {"class_embeddings_concat", false},
      {"conv_in_kernel", 3},
      {"conv_out_kernel", 3},
      {"cross_attention_norm", nullptr},
      {"downsample_padding", 1},
      {"dual_cross_attention", false},
      {"encoder_hid_dim", nullptr},
      {"encoder_hid_dim_type", nullptr},
      {"flip_sin_to_cos", true},
      {"freq_shift", 0},
      {"mid_block_only_cross_attention", nullptr},
      {"mid_block_scale_factor", 1},
      {"num_class_embeds", nullptr},
      {"only_cross_attention", false},
      {"resnet_out_scale_factor", 1.0},
      {"resnet_skip_time_act", false},
      {"resnet_time_scale_shift", "default"},
      {"time_embedding_act_fn", nullptr},
      {"time_embedding_dim", nullptr},
      {"time_embedding_type", "positional"},
      {"timestep_post_act", nullptr},
  };
  check_values(object, where, all);
}

}  // namespace

UNetConfig read_diffusers_unet_config(const json& object, const std::string& where) {
  const ConfigReader reader(object, where);
  refuse_unknown_parts(object, where);
  const std::vector<bool> down =
      read_types(object, where, "down_block_types",
                 {"CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"},
                 "CrossAttnDownBlock2D", "DownBlock2D");
  const std::vector<bool> up =
      read_types(object, where, "up_block_types",
                 {"UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"},
                 "CrossAttnUpBlock2D", "UpBlock2D");
  const size_t L = down.size();
  check(up.size() == L, ErrorKind::input, where, ": \"up_block_types\" has ", up.size(), " blocks, expected ",
        L, " as \"down_block_types\"");

  UNetConfig config;
  reader.read("in_channels", config.in_channels, 1, 256);
  reader.read("out_channels", config.out_channels, 1, 256);
  reader.read("block_out_channels", config.block_out_channels, 1, 65536);
  check(config.block_out_channels.size() == L, ErrorKind::input, where, ": \"block_out_channels\" has ",
        config.block_out_channels.size(), " values, expected ", L, " as \"down_block_types\"");
  reader.read("norm_num_groups", config.norm_num_groups, 1, 65536);
  reader.read("norm_eps", config.norm_eps, 0, 1);
  const char* heads = is_there(object, "num_attention_heads") ? "num_attention_heads" : "attention_head_dim";
  config.heads = read_each(object, where, heads, L, 8, 65536);
  const Numbers context = read_each(object, where, "cross_attention_dim", L, 1280, 65536);
  check(std::ranges::count(context, context[0]) == static_cast<std::ptrdiff_t>(L), ErrorKind::input, where,
        ": \"cross_attention_dim\" is not the same for all levels");
  config.context_width = context[0];
  reader.read("time_cond_proj_dim", config.guidance_width, 4, 65536);

  // Up blocks come from the innermost to the outermost, and so do their depths when they have their own.
  Numbers layers = read_each(object, where, "layers_per_block", L, 2, kMostLayers);
  check(std::ranges::count(layers, 0) == 0, ErrorKind::input, where,
        ": \"layers_per_block\" has a 0, expected 1 ... ", kMostLayers);
  config.down = read_depths(object, where, "transformer_layers_per_block", layers);
  const int64_t middle_depth = config.down.back()[0];
  for (int64_t& count : layers) ++count;
  const char* own = "reverse_transformer_layers_per_block";
  if (is_there(object, own)) {
    std::ranges::reverse(layers);
    config.up = read_depths(object, where, own, layers);
    std::ranges::reverse(config.up);
  } else {
    config.up = UNetConfig::Depths(L);
    for (size_t i = 0; i < L; ++i) {
      const auto count = static_cast<size_t>(layers[i]);
      check(std::ranges::count(config.down[i], config.down[i][0]) ==
                static_cast<std::ptrdiff_t>(config.down[i].size()),
            ErrorKind::input, where,
            ": \"transformer_layers_per_block\" has different depths in a level, but \"", own,
            "\" is not there");
      config.up[i].assign(count, config.down[i][0]);
    }
  }
  for (size_t i = 0; i < L; ++i) {
    if (!down[i]) std::ranges::fill(config.down[i], 0);
    if (!up[L - 1 - i]) std::ranges::fill(config.up[i], 0);
  }

  std::string middle = "UNetMidBlock2DCrossAttn";
  reader.read("mid_block_type", middle, {"UNetMidBlock2DCrossAttn", "UNetMidBlock2D"});
  // null is a value here: no middle. Only an absent key is the default.
  config.middle = object.contains("mid_block_type") && object.at("mid_block_type").is_null() ? Middle::none
                  : middle == "UNetMidBlock2D"                                               ? Middle::resnet
                                               : Middle::transformer;
  config.middle_depth = config.middle == Middle::transformer ? middle_depth : 0;

  std::string added;
  reader.read("addition_embed_type", added, {"text_time"});
  if (!added.empty()) reader.read("projection_class_embeddings_input_dim", config.added_width, 1, 1 << 20);
  check(
      added.empty() || config.added_width > 0, ErrorKind::input, where,
      ": \"projection_class_embeddings_input_dim\" is missing, as \"addition_embed_type\" is \"text_time\"");
  try {
    unet_layers(config);  // refuses what is no U-Net
  } catch (const Error& e) {
    fail(e.kind(), where, ": ", e.what());
  }
  return config;
}

}  // namespace tstitch
