#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tstitch {

// CLIP's tokenizer: a byte-level byte-pair encoding with 49408 tokens. Their order: 256 bytes, 256 bytes that
// end a word, the merges, kBegin, kEnd. Gives the ids of transformers' CLIPTokenizer.
class ClipTokenizer {
 public:
  static constexpr int32_t kBegin = 49406, kEnd = 49407, kTokens = 49408;

  // merges: assets/clip_merges.txt, a line "LEFT RIGHT" for each of the 48894. Throws Error{input} that names
  // the line when it is something else.
  explicit ClipTokenizer(std::string_view merges);

  // The ids of a prompt without kBegin before and kEnd behind it; empty when it is nothing but white space.
  // Controls are text. "<|startoftext|>" and "<|endoftext|>" in the prompt stand for kBegin and kEnd. Takes
  // time in proportion to n log n of the prompt's length. Throws Error{usage} as check_prompt does.
  std::vector<int32_t> encode(std::string_view utf8) const;

 private:
  void append_word(std::string_view word, std::vector<int32_t>& ids) const;

  std::array<int32_t, 256> byte_ids_;
  std::unordered_map<uint64_t, int32_t> merges_;  // (left id, right id) to the id of both
};

}  // namespace tstitch
