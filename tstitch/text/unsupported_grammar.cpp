#include "tstitch/text/unsupported_grammar.h"

#include <charconv>
#include <optional>
#include <string>
#include <vector>

#include "tstitch/base/error.h"
#include "tstitch/text/clip_words.h"
#include "tstitch/text/lora_tags.h"
#include "tstitch/text/word_edges.h"

namespace tstitch {
namespace {

constexpr std::string_view kAnd = "AND", kSpace = " \t\n\v\f\r";

// A bracket that is open, and what stands in it but in none of the brackets within.
struct Open {
  char kind;
  size_t at;
  size_t last_colon = std::string_view::npos;
  bool has_bar = false;
};

// The step or share of "[from:to:0.5]".
bool is_number(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == text.npos) return false;
  text = text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
  if (text.starts_with('+')) text.remove_prefix(1);
  if (text.find_first_not_of("0123456789.eE+-") != text.npos) return false;  // "inf", "nan"
  double value = 0;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  return error != std::errc::invalid_argument && end == last;
}

class Brackets {
 public:
  bool any() const { return !open_.empty(); }
  Open& innermost() { return open_.back(); }
  void open(char kind, size_t at) {
    open_.push_back({.kind = kind, .at = at});
    ++count(kind);
  }
  // Closes the innermost of the kind, and with it what was opened within and never closed; nothing where none
  // is open.
  std::optional<Open> close(char kind) {
    if (count(kind) == 0) return std::nullopt;
    for (;;) {
      const Open last = open_.back();
      open_.pop_back();
      --count(last.kind);
      if (last.kind == kind) return last;
    }
  }

 private:
  size_t& count(char kind) { return kind == '(' ? rounds_ : squares_; }

  std::vector<Open> open_;
  size_t rounds_ = 0, squares_ = 0;
};

}  // namespace

std::string_view find_unsupported(std::string_view prompt, AndMeans means) {
  Brackets brackets;
  for (size_t i = 0; i < prompt.size(); ++i) {
    const char c = prompt[i];
    if (c == '\\') {
      ++i;
    } else if (c == '(' || c == '[') {
      brackets.open(c, i);
    } else if (c == ')') {
      brackets.close('(');
    } else if (c == ']') {
      const std::optional<Open> closed = brackets.close('[');
      if (!closed) continue;
      const bool changes = closed->last_colon != prompt.npos &&
                           is_number(prompt.substr(closed->last_colon + 1, i - closed->last_colon - 1));
      if (changes || closed->has_bar) return prompt.substr(closed->at, i + 1 - closed->at);
    } else if ((c == ':' || c == '|') && brackets.any()) {
      if (c == '|') brackets.innermost().has_bar = true;
      if (c == ':') brackets.innermost().last_colon = i;
    } else if (means == AndMeans::join && prompt.substr(i).starts_with(kAnd) &&
               !ends_with_word(prompt.substr(0, i)) && !begins_with_word(prompt.substr(i + kAnd.size()))) {
      return prompt.substr(i, kAnd.size());
    }
  }
  return {};
}

void check_prompt(std::string_view prompt, PromptStyle style, AndMeans means) {
  check_prompt(prompt);
  if (style != PromptStyle::webui) return;
  const std::string_view lora = find_lora_tag(prompt);
  check(lora.empty(), ErrorKind::usage, "the prompt has \"", printable(std::string(lora), 60),
        "\": LoRAs are named in prompts, not in negative ones, and looked for in --lora-dir");
  const std::string_view hypernet = find_tag(prompt, "<hypernet:");
  check(hypernet.empty(), ErrorKind::usage, "the prompt has \"", printable(std::string(hypernet), 60),
        "\": hypernetworks are not supported; --prompt-style plain takes it as it stands");
  const std::string_view found = find_unsupported(prompt, means);
  check(found.empty(), ErrorKind::usage, "the prompt has \"", printable(std::string(found), 60),
        "\": prompts that change with the steps ([from:to:0.5], [a|b]) and prompts joined by AND are not"
        " supported; --prompt-style plain takes them as they stand");
}

}  // namespace tstitch
