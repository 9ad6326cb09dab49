#include "tstitch/zoo/diffusers_control_net.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "tstitch/base/error.h"
#include "tstitch/zoo/config_reader.h"
#include "tstitch/zoo/diffusers_unet.h"
#include "tstitch/zoo/expected_values.h"

namespace tstitch {
namespace {

using nlohmann::json;

// The configuration of a U-Net with the same way down and middle, and a way up like them.
json with_way_up(json object) {
  object["_class_name"] = "UNet2DConditionModel";
  json up = json::array();
  if (const auto down = object.find("down_block_types"); down != object.end() && down->is_array())
    for (const json& type : *down)
      up.push_back(type == "CrossAttnDownBlock2D" ? "CrossAttnUpBlock2D" : "UpBlock2D");
  std::reverse(up.begin(), up.end());
  if (!up.empty()) object["up_block_types"] = up;
  return object;
}

}  // namespace

ControlNetConfig read_diffusers_control_net_config(const json& object, const std::string& where,
                                                   bool& takes_bgr) {
  static const std::vector<ExpectedValue> expected = {
      {"_class_name", "ControlNetModel"}, {"conditioning_channels", 3}, {"global_pool_conditions", false}};
  const ConfigReader reader(object, where);
  check_values(object, where, expected);
  ControlNetConfig config{.unet = read_diffusers_unet_config(with_way_up(object), where)};
  check(config.unet.middle != UNetConfig::Middle::none, ErrorKind::input, where,
        ": \"mid_block_type\" is null, expected one that a ControlNet has");
  config.unet.up.clear();
  reader.read("conditioning_embedding_out_channels", config.hint_channels, 1, 65536);
  check(!config.hint_channels.empty() && config.hint_channels.size() <= 16, ErrorKind::input, where,
        ": \"conditioning_embedding_out_channels\" has ", config.hint_channels.size(),
        " values, expected 1 ... 16");
  std::string order = "rgb";
  reader.read("controlnet_conditioning_channel_order", order, {"rgb", "bgr"});
  takes_bgr = order == "bgr";
  return config;
}

}  // namespace tstitch
