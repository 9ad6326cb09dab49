#include "tstitch/text/clip_words.h"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>

#include <algorithm>

#include "tstitch/base/error.h"
#include "tstitch/text/utf8_next.h"

namespace tstitch {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 20;

const icu::Normalizer2& nfc() {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* instance = icu::Normalizer2::getNFCInstance(status);
  check(U_SUCCESS(status), ErrorKind::device, "ICU's data of normalization form C: ", u_errorName(status));
  return *instance;
}

// Normalization form D. ICU's own inserts each combining mark into its run one by one: quadratic in the
// length of the run, minutes for a megabyte of accents.
icu::UnicodeString decomposed(std::string_view text) {
  std::vector<UChar32> characters;
  characters.reserve(text.size());
  icu::UnicodeString parts;
  for (size_t at = 0; at < text.size();) {
    const UChar32 c = utf8_next(text, at);
    if (!nfc().getDecomposition(c, parts)) {
      characters.push_back(c);
      continue;
    }
    for (int32_t i = 0; i < parts.length(); i = parts.moveIndex32(i, 1))
      characters.push_back(parts.char32At(i));
  }
  const auto is_base = [](UChar32 c) { return u_getCombiningClass(c) == 0; };
  for (auto run = characters.begin(); run != characters.end();) {
    const auto end = std::find_if(run, characters.end(), is_base);
    std::ranges::stable_sort(run, end, {}, u_getCombiningClass);
    run = std::find_if_not(end, characters.end(), is_base);
  }
  return icu::UnicodeString::fromUTF32(characters.data(), static_cast<int32_t>(characters.size()));
}

std::string normalized_lower_case(std::string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::UnicodeString composed = nfc().normalize(decomposed(text), status);
  check(U_SUCCESS(status), ErrorKind::device, "normalization form C: ", u_errorName(status));
  icu::UnicodeString lower;
  for (int32_t i = 0; i < composed.length(); i = composed.moveIndex32(i, 1)) {
    const UChar32 c = composed.char32At(i);
    lower.append(u_tolower(c));
    if (c == 0x130) lower.append(UChar32{0x307});  // the one character whose lower case are two
  }
  std::string utf8;
  return lower.toUTF8String(utf8);
}

enum class Kind { space, letter, number, other };

Kind kind_of(UChar32 c) {
  if (u_isUWhiteSpace(c)) return Kind::space;
  const uint32_t category = U_GET_GC_MASK(c);
  return category & U_GC_L_MASK ? Kind::letter : category & U_GC_N_MASK ? Kind::number : Kind::other;
}

// What is cut off in one piece wherever a word may begin, and the words it gives. The special tokens' names
// get here when only their case was wrong.
struct FixedWords {
  std::string_view text;
  std::vector<std::string_view> words;
};

const FixedWords* fixed_words_at(std::string_view text) {
  static const std::vector<FixedWords> kFixed = {
      {"<|startoftext|>", {"<|", "startoftext", "|>"}},
      {"<|endoftext|>", {"<|", "endoftext", "|>"}},
      {"'s", {"'s"}},
      {"'t", {"'t"}},
      {"'re", {"'re"}},
      {"'ve", {"'ve"}},
      {"'m", {"'m"}},
      {"'ll", {"'ll"}},
      {"'d", {"'d"}},
  };
  const auto found =
      std::ranges::find_if(kFixed, [&](const FixedWords& fixed) { return text.starts_with(fixed.text); });
  return found == kFixed.end() ? nullptr : &*found;
}

}  // namespace

void check_prompt(std::string_view text) {
  check(text.size() <= kMaxBytes, ErrorKind::usage, "the prompt has ", text.size(),
        " bytes, expected at most ", kMaxBytes);
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    if (utf8_next(text, at) >= 0) continue;
    fail(ErrorKind::usage, "the prompt is not UTF-8 at byte ", begin, ": found \"",
         printable(std::string(text.substr(begin, 4))), "\"");
  }
}

std::vector<std::string> clip_words(std::string_view text) {
  const std::string lower = normalized_lower_case(text);
  std::vector<std::string> words;
  for (std::string_view rest = lower; !rest.empty();) {
    size_t length = 0;
    if (const FixedWords* fixed = fixed_words_at(rest)) {
      words.insert(words.end(), fixed->words.begin(), fixed->words.end());
      length = fixed->text.size();
    } else {
      const Kind kind = kind_of(utf8_next(rest, length));
      for (size_t end = length; kind != Kind::number && end < rest.size(); length = end)
        if (kind_of(utf8_next(rest, end)) != kind) break;
      if (kind != Kind::space) words.emplace_back(rest.substr(0, length));
    }
    rest.remove_prefix(length);
  }
  return words;
}

}  // namespace tstitch
