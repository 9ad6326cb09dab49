// The units of the ControlNet extension of A1111's web UI (sd-webui-controlnet, internal_controlnet/args.py),
// as its clients send them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tstitch/serve/catalog.h"
#include "tstitch/serve/plan.h"

namespace tstitch::serve {

// What the extension calls the ways to make a hint of a picture, of those that are here.
const std::vector<std::string>& control_modules();

// units: alwayson_scripts.ControlNet.args. body: the request that they came with, whose picture to start from
// (where it has one) is followed by units without an image. What is switched off or weighs nothing is left
// out; unknown keys go to `ignored`. Throws Refusal for what would change the picture and is not honoured.
void take_control_units(const nlohmann::json& units, const nlohmann::json& body, const Catalog& catalog,
                        Request& request, std::vector<std::string>& ignored);

}  // namespace tstitch::serve
