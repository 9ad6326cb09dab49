// Words of a prompt that stand for tokens of their own, whatever their letters are to the tokenizer (textual
// inversion: Gal et al. 2022, arXiv 2208.01618).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tstitch {

struct PromptWord {
  std::string name;
  int32_t first_id = 0, count = 1;  // ids first_id ... first_id + count - 1, at most PromptChunk::kMaxTokens
};

class PromptWords {
 public:
  PromptWords() = default;
  explicit PromptWords(std::vector<PromptWord> words);  // their names are not empty

  size_t size() const { return words_.size(); }
  const PromptWord& operator[](size_t index) const { return words_[index]; }

  bool alike(size_t a, size_t b) const;  // whether one name is the other, upper and lower case alike

  struct Found {
    size_t at, length;  // in bytes
    size_t word;
  };
  // The first of them in a text from `from` on, as a word of its own: where the name begins or ends with a
  // letter, a number or "_", none such stands beside it. Upper and lower case are alike. Where several begin,
  // the longest; of those of one name the first.
  std::optional<Found> find(std::string_view text, size_t from = 0) const;

 private:
  // Names that begin alike share the nodes of their beginnings.
  struct Node {
    std::map<int32_t, size_t> next;  // by character, in lower case
    std::optional<size_t> word;      // the first whose name ends here
  };

  std::vector<PromptWord> words_;
  std::vector<Node> nodes_;
  std::vector<size_t> ends_;  // of every word its last node
};

}  // namespace tstitch
