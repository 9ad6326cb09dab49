#include "tstitch/text/clip_tokenizer.h"

#include <cstdlib>

#include "tests/text/text_support.h"

namespace tstitch {
namespace {

using Ids = std::vector<int32_t>;

void expect_ids(const TokenCases& cases) {
  int shown = 0;
  for (const auto& [prompt, ids] : cases) {
    if (clip().encode(prompt) == ids) continue;
    ADD_FAILURE() << printable(prompt, 1000) << "\n  " << testing::PrintToString(clip().encode(prompt))
                  << ", expected " << testing::PrintToString(ids);
    if (++shown == 20) return;
  }
}

TEST(ClipTokenizer, IdsOfTransformers) {
  const TokenCases cases = token_cases(token_golden("clip.json"));
  EXPECT_GE(cases.size(), 1000u);
  expect_ids(cases);
}

TEST(ClipTokenizer, IdsOfTransformersForOtherFiles) {
  const char* path = std::getenv("TSTITCH_TOKENIZER_CASES");
  if (!path)
    GTEST_SKIP()
        << "TSTITCH_TOKENIZER_CASES names no file of tools/goldens/make_tokenizer_goldens.py --random";
  expect_ids(token_cases(path));
}

TEST(ClipTokenizer, WhiteSpaceIsEmpty) {
  for (const char* prompt : {"", " ", " \t\r\n\v\f ", "\u00a0\u2003\u3000\u2028"})
    EXPECT_EQ(clip().encode(prompt), Ids{});
}

TEST(ClipTokenizer, ControlsAreText) {
  using namespace std::string_view_literals;
  EXPECT_EQ(clip().encode("a\0b"sv), (Ids{320, 444, 321}));
}

TEST(ClipTokenizer, InvalidUtf8SaysWhere) {
  for (const auto& [prompt, at] : std::vector<std::pair<std::string, std::string>>{
           {"\xff", "byte 0: found \"\\xff\""},
           {"caf\xc3", "byte 3: found \"\\xc3\""},             // cut short
           {"a\x80", "byte 1: "},                              // a continuation without a beginning
           {"\xc3\xa9\xc0\x80", "byte 2: "},                   // an overlong NUL
           {"ab\xed\xa0\x80", "byte 2: "},                     // a surrogate
           {"<|endoftext|>\xf4\x90\x80\x80", "byte 13: "}}) {  // above U+10FFFF
    expect_error([&] { clip().encode(prompt); }, ErrorKind::usage, "not UTF-8 at " + at);
  }
}

TEST(ClipTokenizer, TooLongIsRefused) {
  expect_error([] { clip().encode(std::string((1 << 20) + 1, 'a')); }, ErrorKind::usage, "1048577 bytes");
}

// Anything quadratic takes minutes here.
TEST(ClipTokenizer, AMegabyteOfAnything) {
  for (const char* unit :
       {"a", "ab", "supercalifragilistic", "!", "'", "'s", "\xf0\x9f\x98\x80", "\u0301", "\u0316\u0301",
        "\u0f73", "\u1100\u1161", "<|", "<|endoftext|>", "<|ENDOFTEXT|>", " ", "a ", "9", "\u0130"}) {
    const std::string prompt = repeated(unit, 1'000'000);
    EXPECT_LT(seconds_of([&] { EXPECT_LE(clip().encode(prompt).size(), 2 * prompt.size()); }), 20) << unit;
  }
}

TEST(ClipTokenizer, MergesAreChecked) {
  const auto expect_bad = [](const std::string& merges, const std::string& part) {
    expect_error([&] { ClipTokenizer tokenizer(merges); }, ErrorKind::input, part);
  };
  expect_bad("", "line 1: the end, expected 48894 lines");
  expect_bad("i n\nt h", "line 3: the end");
  expect_bad(clip_merges() + "a b\n", "line 48895: expected the end");
  expect_bad("i n\nth\n", "line 2: found \"th\", expected two tokens");
  expect_bad("i n\n\nt h\n", "line 2: found \"\"");
  expect_bad("i n\nin g\n t h\n", "line 3: the token \"\"");
  expect_bad("i n\nth e\n", "line 2: the token \"th\", which no line before it makes");
  expect_bad("i n\ni n\n", "line 2: makes the token \"in\" again");
  expect_bad("\x1b[31m x\n", "the token \"\\x1b[31m\"");
}

}  // namespace
}  // namespace tstitch
