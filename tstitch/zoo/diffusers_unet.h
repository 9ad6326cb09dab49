// The U-Net as diffusers configures it (UNet2DConditionModel): unet/config.json.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "tstitch/models/unet_config.h"

namespace tstitch {

// The fields of unet/config.json. Despite its name, "attention_head_dim" is the number of heads, unless
// "num_attention_heads" is there too (diffusers' issue 2011). "time_cond_proj_dim" is left aside: an LCM's
// network that gets no guidance scale is the network without it, and that is how T-Stitch runs it. Throws
// Error{input} with the key for values that are no latent U-Net's or change the network in a way that
// tstitch does not know.
UNetConfig read_diffusers_unet_config(const nlohmann::json& object, const std::string& where);

}  // namespace tstitch
