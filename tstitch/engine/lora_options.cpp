#include "tstitch/engine/lora_options.h"

#include <charconv>
#include <cmath>

#include "tstitch/base/error.h"
#include "tstitch/base/numbers.h"

namespace tstitch {

LoraOption parse_lora(const std::string& option, const std::string& text) {
  LoraOption lora{.path = text};
  if (const size_t colon = text.rfind(':'); colon != text.npos) {
    const char* last = text.data() + text.size();
    double weight = 0;
    const auto [end, error] = std::from_chars(text.data() + colon + 1, last, weight);
    if (error == std::errc() && end == last) lora = {.path = text.substr(0, colon), .weight = weight};
  }
  check(!lora.path.empty(), ErrorKind::usage, option, " is \"", printable(text),
        "\", expected PATH or PATH:WEIGHT");
  check(std::abs(lora.weight) <= kMostLoraWeight, ErrorKind::usage, option, " \"", printable(text),
        "\" has a weight of ", lora.weight, ", expected ", -kMostLoraWeight, " ... ", kMostLoraWeight);
  return lora;
}

std::string to_string(const LoraOption& lora) { return concat(lora.path, ':', number_text(lora.weight)); }

std::vector<std::string> to_strings(const std::vector<LoraOption>& loras) {
  std::vector<std::string> texts;
  for (const LoraOption& lora : loras) texts.push_back(to_string(lora));
  return texts;
}

}  // namespace tstitch
