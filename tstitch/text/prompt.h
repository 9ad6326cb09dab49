#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tstitch/text/clip_tokenizer.h"
#include "tstitch/text/prompt_words.h"

namespace tstitch {

struct WeightedText {
  std::string text;
  double weight;  // 1: as it is; within +-1e6
  bool operator==(const WeightedText&) const = default;
};

// What stands between two BREAKs. No text is empty and no two neighbours weigh the same.
using PromptSection = std::vector<WeightedText>;

// How brackets are read: as weights, or as they stand.
enum class PromptStyle { webui, plain };

std::string_view name_of(PromptStyle style);
std::optional<PromptStyle> parse_prompt_style(std::string_view name);  // the inverse of name_of

// Reads the weights that the stable-diffusion-webui's users write into a prompt; at least one section.
//   (words)       weigh 1.1 times as much        [words]    weigh 1 / 1.1 as much
//   (words:1.3)   weigh 1.3 times as much        \( \) \[ \] \\   stand for the character
//   BREAK         as a word of its own: begins a new chunk, and the white space around it goes
// Brackets nest and their factors multiply; they may reach over a BREAK. Never an error: brackets that are
// not closed end with the prompt, what closes nothing and a weight that is no number are text, and a
// backslash before anything else is dropped.
std::vector<PromptSection> parse_prompt(std::string_view prompt);

// What a text encoder reads at once: kBegin, up to 75 tokens, kEnd, then the padding.
struct PromptChunk {
  static constexpr size_t kLength = 77, kMaxTokens = 75;
  std::array<int32_t, kLength> ids;
  std::array<float, kLength> weights;  // of the tokens; 1 for kBegin, kEnd and the padding

  static PromptChunk empty(int32_t padding_id);
};

// The chunks of a prompt: at least one, one or more for each section. Every weighted text is tokenized on its
// own. padding_id: kEnd for most encoders, 0 for OpenCLIP's. Tokens of a word that stands for several lie in
// one chunk, as the web UI has them. Throws Error{usage} as check_prompt does.
std::vector<PromptChunk> tokenize_prompt(const ClipTokenizer& tokenizer, std::string_view prompt,
                                         PromptStyle style, int32_t padding_id,
                                         const PromptWords& words = PromptWords());

// Which of the words the prompt has, by their indices.
std::vector<bool> words_in(std::string_view prompt, PromptStyle style, const PromptWords& words);

}  // namespace tstitch
