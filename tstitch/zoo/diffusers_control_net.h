#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "tstitch/models/control_net.h"

namespace tstitch {

// A ControlNet as diffusers configures it (ControlNetModel): its config.json. takes_bgr: whether it reads the
// blue of a hint first. Throws Error{input} with the key for values that change the network in a way that
// tstitch does not know.
ControlNetConfig read_diffusers_control_net_config(const nlohmann::json& object, const std::string& where,
                                                   bool& takes_bgr);

}  // namespace tstitch
