#include "tstitch/text/prompt_words.h"

#include <unicode/uchar.h>

#include <utility>

#include "tstitch/text/utf8_next.h"
#include "tstitch/text/word_edges.h"

namespace tstitch {
namespace {

// The character at `at` in lower case, negative when it is malformed; moves `at` behind it.
UChar32 lower_next(std::string_view text, size_t& at) {
  const UChar32 c = utf8_next(text, at);
  return c < 0 ? c : u_tolower(c);
}

}  // namespace

PromptWords::PromptWords(std::vector<PromptWord> words) : words_(std::move(words)), nodes_(1) {
  for (size_t i = 0; i < words_.size(); ++i) {
    const std::string& name = words_[i].name;
    size_t node = 0;
    for (size_t at = 0; at < name.size();) {
      const auto [next, is_new] = nodes_[node].next.try_emplace(lower_next(name, at), nodes_.size());
      node = next->second;
      if (is_new) nodes_.emplace_back();
    }
    if (!nodes_[node].word) nodes_[node].word = i;
    ends_.push_back(node);
  }
}

bool PromptWords::alike(size_t a, size_t b) const { return ends_[a] == ends_[b]; }

std::optional<PromptWords::Found> PromptWords::find(std::string_view text, size_t from) const {
  const auto cuts_a_word = [&](size_t at) {
    return ends_with_word(text.substr(0, at)) && begins_with_word(text.substr(at));
  };
  for (size_t begin = from; begin < text.size() && !words_.empty(); utf8_next(text, begin)) {
    if (cuts_a_word(begin)) continue;
    std::optional<Found> longest;
    for (size_t node = 0, at = begin; at < text.size();) {
      const auto next = nodes_[node].next.find(lower_next(text, at));
      if (next == nodes_[node].next.end()) break;
      node = next->second;
      if (nodes_[node].word && !cuts_a_word(at)) longest = Found{begin, at - begin, *nodes_[node].word};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

}  // namespace tstitch
