#include "tstitch/text/clip_tokenizer.h"

#include <queue>
#include <string>

#include "tstitch/base/error.h"
#include "tstitch/text/clip_words.h"

namespace tstitch {
namespace {

constexpr int32_t kBytes = 256, kNone = -1;
constexpr int32_t kMerges = ClipTokenizer::kTokens - 2 * kBytes - 2;
constexpr std::string_view kEndOfWord = "</w>";

struct SpecialToken {
  std::string_view name;
  int32_t id;
};
constexpr SpecialToken kSpecial[] = {{"<|startoftext|>", ClipTokenizer::kBegin},
                                     {"<|endoftext|>", ClipTokenizer::kEnd}};

uint64_t pair_key(int32_t left, int32_t right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

// The file of merges writes a byte as a character that can be seen: itself where Latin-1 has one, else the
// next from U+0100 on. The former come first among the ids.
bool is_visible(int32_t byte) {
  return (byte > ' ' && byte <= '~') || (byte > 0xa0 && byte <= 0xff && byte != 0xad);
}

std::string utf8_of(int32_t character) {  // below U+0800
  if (character < 0x80) return {static_cast<char>(character)};
  return {static_cast<char>(0xc0 | character >> 6), static_cast<char>(0x80 | (character & 0x3f))};
}

// A symbol of a word under way: a token and its neighbours, kNone at the ends. id is kNone once its left
// neighbour has swallowed it.
struct Symbol {
  int32_t id, previous, next;
};

// Two neighbours that could become `merged`. Tokens were numbered as merges were found, hence the lowest goes
// first, and of equal ones the leftmost.
struct Candidate {
  int32_t merged, at;
  bool operator>(const Candidate& other) const {
    return merged != other.merged ? merged > other.merged : at > other.at;
  }
};

}  // namespace

ClipTokenizer::ClipTokenizer(std::string_view merges) {
  std::unordered_map<std::string, int32_t> ids;
  int32_t id = 0, hidden = 0;
  for (const bool visible : {true, false}) {
    for (int32_t byte = 0; byte < kBytes; ++byte) {
      if (is_visible(byte) != visible) continue;
      const std::string name = utf8_of(visible ? byte : kBytes + hidden++);
      ids[name] = byte_ids_[static_cast<size_t>(byte)] = id;
      ids[name + std::string(kEndOfWord)] = kBytes + id++;
    }
  }
  id = 2 * kBytes;
  merges_.reserve(kMerges);
  const auto refuse = [&](const auto&... found) {
    fail(ErrorKind::input, "CLIP's merges, line ", id - 2 * kBytes + 1, ": ", found...);
  };
  for (size_t at = 0; at < merges.size(); ++id) {
    if (id == kBegin) refuse("expected the end after ", kMerges, " lines");
    const std::string_view line = merges.substr(at, merges.find('\n', at) - at);
    at += line.size() + 1;
    const size_t space = line.find(' ');
    if (space == line.npos) refuse("found \"", printable(std::string(line)), "\", expected two tokens");
    const std::string left(line.substr(0, space)), right(line.substr(space + 1));
    for (const std::string& token : {left, right})
      if (!ids.contains(token)) refuse("the token \"", printable(token), "\", which no line before it makes");
    if (!ids.emplace(left + right, id).second)
      refuse("makes the token \"", printable(left + right), "\" again");
    merges_.emplace(pair_key(ids.at(left), ids.at(right)), id);
  }
  if (id != kBegin) refuse("the end, expected ", kMerges, " lines");
}

void ClipTokenizer::append_word(std::string_view word, std::vector<int32_t>& ids) const {
  std::vector<Symbol> symbols;
  const auto length = static_cast<int32_t>(word.size());
  for (int32_t i = 0; i < length; ++i) {
    const auto byte = static_cast<unsigned char>(word[static_cast<size_t>(i)]);
    symbols.push_back({byte_ids_[byte], i - 1, i + 1});
  }
  symbols.back().id += kBytes;
  symbols.back().next = kNone;

  const auto symbol = [&](int32_t at) -> Symbol& { return symbols[static_cast<size_t>(at)]; };
  const auto merge_at = [&](int32_t at) {
    if (at == kNone || symbol(at).id == kNone || symbol(at).next == kNone) return kNone;
    const auto found = merges_.find(pair_key(symbol(at).id, symbol(symbol(at).next).id));
    return found == merges_.end() ? kNone : found->second;
  };
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates;
  const auto propose = [&](int32_t at) {
    if (const int32_t merged = merge_at(at); merged != kNone) candidates.push({merged, at});
  };
  for (int32_t i = 0; i < length; ++i) propose(i);
  while (!candidates.empty()) {
    const Candidate best = candidates.top();
    candidates.pop();
    if (merge_at(best.at) != best.merged) continue;  // a neighbour has changed since
    Symbol& left = symbol(best.at);
    Symbol& right = symbol(left.next);
    left.id = best.merged;
    left.next = right.next;
    right.id = kNone;
    if (left.next != kNone) symbol(left.next).previous = best.at;
    propose(left.previous);
    propose(best.at);
  }
  for (int32_t at = 0; at != kNone; at = symbol(at).next) ids.push_back(symbol(at).id);
}

std::vector<int32_t> ClipTokenizer::encode(std::string_view utf8) const {
  check_prompt(utf8);
  std::vector<int32_t> ids;
  size_t begin = 0;
  const auto append_words = [&](size_t end) {
    for (const std::string& word : clip_words(utf8.substr(begin, end - begin))) append_word(word, ids);
  };
  for (size_t at = utf8.find("<|"); at != utf8.npos; at = utf8.find("<|", at + 1)) {
    for (const auto& [name, id] : kSpecial) {
      if (!utf8.substr(at).starts_with(name)) continue;
      append_words(at);
      ids.push_back(id);
      begin = at + name.size();
    }
  }
  append_words(utf8.size());
  return ids;
}

}  // namespace tstitch
