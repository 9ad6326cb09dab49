#pragma once

#include <string_view>

#include "tstitch/text/prompt.h"

namespace tstitch {

// What the word "AND" does: it joins prompts, but not negative ones.
enum class AndMeans { join, word };

// The first part of a prompt that the stable-diffusion-webui does not read as words and weights:
// "[from:to:0.5]", "[word:10]" and "[word::0.5]", which change with the steps; "[a|b]", which alternates; and
// "AND" where it joins.
// "" where there is none. Takes time in proportion to the length.
std::string_view find_unsupported(std::string_view prompt, AndMeans means = AndMeans::join);

// Throws Error{usage} as check_prompt(text) does and, where brackets are weights, for such a part, for LoRAs
// that are still named (lora_tags.h), and for hypernetworks.
void check_prompt(std::string_view prompt, PromptStyle style, AndMeans means = AndMeans::join);

}  // namespace tstitch
