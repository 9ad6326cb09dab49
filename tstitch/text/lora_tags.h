// LoRAs that a prompt names as the stable-diffusion-webui has them: "<lora:NAME>" and "<lora:NAME:WEIGHT>";
// "<lyco:" is as "<lora:".
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tstitch {

struct LoraTag {
  std::string name;
  double weight = 1;
  bool operator==(const LoraTag&) const = default;
};

// The first part of the prompt with that opening as it stands, or ""; to the end where it is not closed.
std::string_view find_tag(std::string_view prompt, std::string_view opening);

// The first LoRA in the same way.
std::string_view find_lora_tag(std::string_view prompt);

// Takes them out of the prompt, in their order. Throws Error{usage} for one without a name or whose weight is
// not one number.
std::vector<LoraTag> take_lora_tags(std::string& prompt);

}  // namespace tstitch
