// The modules of networks, the layers that have weights of their own: what files of adapters (LoRAs) name.
#pragma once

#include <string>
#include <vector>

#include "tstitch/models/unet_config.h"

namespace tstitch {

// Of a U-Net, each with a tensor NAME.weight, by diffusers' names.
std::vector<std::string> unet_modules(const UNetConfig& config);

// Of a CLIP text encoder of so many layers, by transformers' names without "text_model.".
std::vector<std::string> clip_text_modules(int64_t layers);

}  // namespace tstitch
