// What files of LoRAs call the modules of a network.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tstitch/models/unet_config.h"

namespace tstitch {

// As kohya's scripts spell names: '_' for '.'. What other files have is spelled so before it is looked up,
// and no name is ever spelled back.
std::string underscored(std::string_view name);

// Spelled names, and the module that each means: "" for one that the network has not, but the one it was
// pruned from has.
using SpelledNames = std::unordered_map<std::string, std::string>;

struct LoraNames {
  // In a file that was made for this very network, and in one for the network it was pruned from; of networks
  // that are not pruned the same.
  SpelledNames own, unpruned;

  bool empty() const { return own.empty(); }
};

// By diffusers' names, those of its older attention processors, and the original code's. These count blocks
// as the published networks of two resnets a stage do, whatever is left of them.
//
// Pruned networks: the levels of BK-SDM-Tiny are the outer ones of Stable Diffusion's; where a stage of the
// way up has two resnets left, the second descends from the last of three (Kim et al. 2023, arXiv 2305.15798,
// section 3.1, and Lee et al. 2023, arXiv 2312.04005; the widths of its skips show it).
LoraNames unet_lora_names(const UNetConfig& config);

// By transformers' names, with and without "text_model.". The encoder may have fewer layers.
const SpelledNames& clip_text_lora_names();

}  // namespace tstitch
