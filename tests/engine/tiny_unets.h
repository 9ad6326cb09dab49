// U-Nets small enough to run by the hundred.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/golden.h"
#include "tstitch/io/json.h"
#include "tstitch/zoo/diffusers_unet.h"
#include "tstitch/zoo/families/unet.h"

namespace tstitch {

// The tiny U-Nets of tests/golden/unet, a quarter as wide.
inline ModelInfo unet_info(const std::string& name, const std::string& layout, const ConditionInfo& condition,
                           int64_t tokens) {
  UNetConfig config =
      read_diffusers_unet_config(parse_json_file(golden_path("unet/" + layout + ".json")), layout);
  for (int64_t& channels : config.block_out_channels) channels /= 4;
  config.norm_num_groups /= 4;
  ModelInfo info;
  info.name = name;
  info.condition = condition;
  info.condition.width = config.context_width;
  info.architecture = std::make_shared<UNetArchitecture>(config, "", tokens, WeightChoice::automatic);
  info.channels = config.in_channels;
  info.side = 8;
  info.any_size = true;
  info.defaults.sampler = "pndm";
  return info;
}

}  // namespace tstitch
