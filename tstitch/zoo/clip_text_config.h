#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "tstitch/models/clip_text.h"

namespace tstitch {

// transformers' configuration of a CLIPTextModel, but for its projection, which shapes say. where: as
// messages name it. Throws Error{input} with the key that is out of range.
ClipTextConfig read_clip_text_config(const nlohmann::json& object, const std::string& where);

}  // namespace tstitch
