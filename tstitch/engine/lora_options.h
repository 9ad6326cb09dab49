// What a user says of a LoRA: --lora PATH[:WEIGHT].
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

namespace tstitch {

struct LoraOption {
  std::string path;
  double weight = 1;  // what its changes are multiplied by, -kMostLoraWeight ... kMostLoraWeight

  bool operator==(const LoraOption&) const = default;
};

inline constexpr double kMostLoraWeight = 100;

// A number behind the last colon is the weight. Throws Error{usage} naming `option`.
LoraOption parse_lora(const std::string& option, const std::string& text);
// The inverse, with the weight: "fox.safetensors:0.8".
std::string to_string(const LoraOption& lora);

// What people call files of these paths: "fox" of "loras/fox.safetensors", and where another has that name,
// with as much before it as tells them apart: "animals/fox".
std::map<std::string, std::string> short_names(const std::set<std::string>& paths);

}  // namespace tstitch
