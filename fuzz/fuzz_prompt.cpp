// Any bytes as a prompt: either refused as not UTF-8, or chunks whose shape and numbers are right.
#include <cmath>
#include <fstream>
#include <iterator>

#include "fuzz/expect_input_error.h"
#include "tstitch/text/prompt.h"

namespace {

using namespace tstitch;

const ClipTokenizer& tokenizer() {
  static const ClipTokenizer clip = [] {
    std::ifstream file(TSTITCH_SOURCE_DIR "/assets/clip_merges.txt");
    return ClipTokenizer(std::string(std::istreambuf_iterator<char>(file), {}));
  }();
  return clip;
}

void require(bool condition) {
  if (!condition) abort();
}

void check_chunk(const PromptChunk& chunk) {
  constexpr int32_t kPadding = 0;
  size_t last = PromptChunk::kLength - 1;
  while (last > 0 && chunk.ids[last] == kPadding) --last;
  require(chunk.ids[0] == ClipTokenizer::kBegin && chunk.ids[last] == ClipTokenizer::kEnd);
  for (size_t i = 0; i < PromptChunk::kLength; ++i) {
    require(chunk.ids[i] >= 0 && chunk.ids[i] < ClipTokenizer::kTokens);
    require(std::isfinite(chunk.weights[i]) && (i < last || chunk.weights[i] == 1));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  size_t bytes = 0;
  for (const PromptSection& section : parse_prompt(text))
    for (size_t i = 0; i < section.size(); ++i) {
      require(!section[i].text.empty() && (i == 0 || section[i].weight != section[i - 1].weight));
      bytes += section[i].text.size();
    }
  require(bytes <= size);
  const auto tokenize = [&] {
    const auto chunks = tokenize_prompt(tokenizer(), text, PromptStyle::webui, 0);
    // A character becomes at most three (normalization), each of at most as many tokens as it has bytes; a
    // BREAK of five bytes begins a chunk.
    require(!chunks.empty() && chunks.size() <= 1 + size);
    for (const PromptChunk& chunk : chunks) check_chunk(chunk);
  };
  expect_error_of_kind(ErrorKind::usage, tokenize);
  return 0;
}
