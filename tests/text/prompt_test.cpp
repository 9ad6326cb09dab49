#include "tstitch/text/prompt.h"

#include <algorithm>

#include "tests/text/text_support.h"
#include "tstitch/text/unsupported_grammar.h"

namespace tstitch {
namespace {

using Sections = std::vector<PromptSection>;

constexpr int32_t kPadding = ClipTokenizer::kEnd;

// Products of the same factors may differ in the last bit from those written in a test.
void expect_sections(const std::string& prompt, const Sections& expected) {
  const Sections found = parse_prompt(prompt);
  ASSERT_EQ(found.size(), expected.size()) << prompt;
  for (size_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(found[i].size(), expected[i].size()) << prompt;
    for (size_t j = 0; j < found[i].size(); ++j) {
      EXPECT_EQ(found[i][j].text, expected[i][j].text) << prompt;
      EXPECT_NEAR(found[i][j].weight, expected[i][j].weight, 1e-12) << prompt << ": " << found[i][j].text;
    }
  }
}

TEST(ParsePrompt, Plain) {
  expect_sections("", {{}});
  expect_sections("a red fox", {{{"a red fox", 1}}});
  expect_sections("ratio 16:9, a:1.5", {{{"ratio 16:9, a:1.5", 1}}});
}

TEST(ParsePrompt, Brackets) {
  expect_sections("a (red) fox", {{{"a ", 1}, {"red", 1.1}, {" fox", 1}}});
  expect_sections("a [red] fox", {{{"a ", 1}, {"red", 1 / 1.1}, {" fox", 1}}});
  expect_sections("((red) fox)", {{{"red", 1.1 * 1.1}, {" fox", 1.1}}});
  expect_sections("[[[fox]]]", {{{"fox", 1 / (1.1 * 1.1 * 1.1)}}});
  expect_sections("(red)(fox)", {{{"redfox", 1.1}}});
  expect_sections("()[] (())", {{{" ", 1}}});
  expect_sections("()fox", {{{"fox", 1}}});
  // The two kinds close each on its own.
  expect_sections("(a[b)c]", {{{"a", 1.1}, {"b", 1.1 / 1.1}, {"c", 1 / 1.1}}});
}

TEST(ParsePrompt, Factors) {
  expect_sections("(fox:1.3)", {{{"fox", 1.3}}});
  expect_sections("(fox: 1.3 )", {{{"fox", 1.3}}});
  expect_sections("(fox:+.5)(cat:2.)(dog:-1)(owl:0)", {{{"fox", .5}, {"cat", 2}, {"dog", -1}, {"owl", 0}}});
  expect_sections("((fox:2) den:3)", {{{"fox", 6}, {" den", 3}}});
  expect_sections("(a:b:1.5)", {{{"a:b", 1.5}}});
  expect_sections("([fox]:2)", {{{"fox", 2 / 1.1}}});
  expect_sections("(fox:1000000000)", {{{"fox", 1e6}}});
  expect_sections("((fox:-9999):9999)", {{{"fox", -1e6}}});
}

TEST(ParsePrompt, FactorsThatAreText) {
  for (const char* text : {"fox:", "fox:.", "fox:1.2.3", "fox:+", "fox:+-1", "fox:1e3", "fox:inf", "fox:nan",
                           "fox:0x2", "fox:1 2"})
    expect_sections(concat("(", text, ")"), {{{text, 1.1}}});
  expect_sections("fox:1.2)", {{{"fox:1.2)", 1}}});
  expect_sections("[fox:1.2]", {{{"fox:1.2", 1 / 1.1}}});
  expect_sections("(fox:" + std::string(400, '9') + ")", {{{"fox:" + std::string(400, '9'), 1.1}}});
}

TEST(ParsePrompt, Unbalanced) {
  expect_sections("a (red fox", {{{"a ", 1}, {"red fox", 1.1}}});
  expect_sections("a [red (fox", {{{"a ", 1}, {"red ", 1 / 1.1}, {"fox", 1}}});
  expect_sections("red) fox]", {{{"red) fox]", 1}}});
  expect_sections("(red)) fox", {{{"red", 1.1}, {") fox", 1}}});
  expect_sections("(((", {{}});
  // One bracket too many: it ends with the prompt.
  expect_sections("the (((den:1.3)) [of] a (fox:0.5), night, (((moon))).", {{{"the ", 1},
                                                                             {"den", 1.3 * 1.21},
                                                                             {" ", 1.1},
                                                                             {"of", 1},
                                                                             {" a ", 1.1},
                                                                             {"fox", 0.55},
                                                                             {", night, ", 1.1},
                                                                             {"moon", 1.4641},
                                                                             {".", 1.1}}});
}

TEST(ParsePrompt, Escapes) {
  expect_sections(R"(\(fox\) \[red\] \\)", {{{R"((fox) [red] \)", 1}}});
  expect_sections(R"((fox \(red\)))", {{{"fox (red)", 1.1}}});
  expect_sections(R"(a\b \: \)", {{{"ab : ", 1}}});
  expect_sections(R"(\\(fox))", {{{R"(\)", 1}, {"fox", 1.1}}});
}

TEST(ParsePrompt, Breaks) {
  expect_sections("red fox BREAK den", {{{"red fox", 1}}, {{"den", 1}}});
  expect_sections("red\n BREAK \n\tden", {{{"red", 1}}, {{"den", 1}}});
  expect_sections("BREAK", {{}, {}});
  expect_sections("a BREAK BREAK b", {{{"a", 1}}, {}, {{"b", 1}}});
  expect_sections("(red BREAK fox) den", {{{"red", 1.1}}, {{"fox", 1.1}, {" den", 1}}});
  expect_sections("fox,BREAK.den", {{{"fox,", 1}}, {{".den", 1}}});
  expect_sections("\u72d0\uff0cBREAK", {{{"\u72d0\uff0c", 1}}, {}});  // a full-width comma
  for (const char* text :
       {"BREAKs", "xBREAK", "break", "BREAK_", "BREAK1", "\u00c9BREAK", "BREAK\u00c9", "BREAKBREAK"})
    expect_sections(text, {{{text, 1}}});
}

TEST(TokenizePrompt, IdsOfTransformers) {
  for (const auto& [prompt, ids] : token_cases(token_golden("padded.json"))) {
    const auto chunks = tokenize_prompt(clip(), prompt, PromptStyle::webui, kPadding);
    ASSERT_EQ(chunks.size(), 1u) << prompt;
    EXPECT_TRUE(std::ranges::equal(chunks[0].ids, ids)) << prompt;
    for (const float weight : chunks[0].weights) EXPECT_EQ(weight, 1);
  }
}

TEST(TokenizePrompt, WeightsGoWithTheirTokens) {
  const PromptChunk chunk = tokenize_prompt(clip(), "a (cat:1.5) a", PromptStyle::webui, 0).at(0);
  const std::vector<int32_t> ids = {ClipTokenizer::kBegin, 320, 2368, 320, ClipTokenizer::kEnd, 0};
  const std::vector<float> weights = {1, 1, 1.5, 1, 1, 1};
  for (size_t i = 0; i < PromptChunk::kLength; ++i) {
    EXPECT_EQ(chunk.ids[i], i < ids.size() ? ids[i] : 0) << i;
    EXPECT_EQ(chunk.weights[i], i < weights.size() ? weights[i] : 1) << i;
  }
}

// How many tokens each chunk has.
std::vector<size_t> tokens_of(const std::string& prompt) {
  std::vector<size_t> counts;
  for (const PromptChunk& chunk : tokenize_prompt(clip(), prompt, PromptStyle::webui, 0)) {
    const auto end = std::ranges::find(chunk.ids, ClipTokenizer::kEnd);
    EXPECT_NE(end, chunk.ids.end());
    EXPECT_TRUE(std::all_of(end + 1, chunk.ids.end(), [](int32_t id) { return id == 0; }));
    EXPECT_EQ(chunk.ids[0], ClipTokenizer::kBegin);
    counts.push_back(static_cast<size_t>(end - chunk.ids.begin()) - 1);
  }
  return counts;
}

TEST(TokenizePrompt, Chunks) {
  using Counts = std::vector<size_t>;
  EXPECT_EQ(tokens_of(""), Counts{0});
  EXPECT_EQ(tokens_of("  "), Counts{0});
  EXPECT_EQ(tokens_of(repeated("a ", 2 * 75)), Counts{75});
  EXPECT_EQ(tokens_of(repeated("a ", 2 * 76)), (Counts{75, 1}));
  EXPECT_EQ(tokens_of(repeated("a ", 2 * 150)), (Counts{75, 75}));
  EXPECT_EQ(tokens_of(repeated("(a) b ", 6 * 40)), (Counts{75, 5}));
  EXPECT_EQ(tokens_of("a BREAK a a"), (Counts{1, 2}));
  EXPECT_EQ(tokens_of(repeated("a ", 2 * 75) + "BREAK a"), (Counts{75, 1}));
  EXPECT_EQ(tokens_of("BREAK a"), (Counts{0, 1}));
  EXPECT_EQ(tokens_of("a BREAK BREAK a"), (Counts{1, 0, 1}));
  EXPECT_EQ(tokens_of("a BREAK"), Counts{1});
  EXPECT_EQ(tokens_of("BREAK"), Counts{0});
}

TEST(TokenizePrompt, InvalidUtf8SaysWhereInThePrompt) {
  expect_error([] { tokenize_prompt(clip(), "(a cat:1.2) \xff", PromptStyle::webui, 0); }, ErrorKind::usage,
               "at byte 12: found \"\\xff\"");
}

TEST(TokenizePrompt, AMegabyteOfAnything) {
  for (const char* unit : {"(", "(a", "[a", ")", "(a)", "([", ":", "(:1", "(a:1.1", "[a|", ": ", "\\", "\\(",
                           "BREAK ", "xBREAK", "(BREAK", "1"}) {
    const std::string prompt = repeated(unit, 1'000'000);
    EXPECT_LT(seconds_of([&] { tokenize_prompt(clip(), prompt, PromptStyle::webui, 0); }), 20) << unit;
  }
}

TEST(Prompt, WhatTheWebUIReadsAnotherWayIsRefused) {
  for (const std::string unsupported : {"[cat:dog:0.5]", "[cat:10]", "[cat::.5]", "[cat: dog : 12 ]",
                                        "[(cat:1.2):0.3]", "[cat|dog]", "[|]", "[[cat]|dog]", "AND"}) {
    const std::string prompt = concat("(a: ", unsupported, " b) [c]");
    expect_error([&] { check_prompt(prompt, PromptStyle::webui); }, ErrorKind::usage,
                 concat("\"", unsupported, "\""));
    EXPECT_NO_THROW(check_prompt(prompt, PromptStyle::plain));
  }
  for (const char* fine : {"[blurry, dark]", "[a:b]", "[ratio 16:9 tall]", "[(cat:1.2)]", "[(a|b)]", "a|b",
                           "\\[a|b\\]", "[a\\|b]", "a:b:0.5", "(a:b:0.5)", "[a:0.5", "a:0.5]", "[a:inf]",
                           "[a:]", "cats and dogs", "BRAND", "AND_", "[a(:0.5]"})
    EXPECT_NO_THROW(check_prompt(fine, PromptStyle::webui)) << fine;
}

TEST(Prompt, AndIsAWordOfNegativePrompts) {
  EXPECT_NO_THROW(check_prompt("a AND b", PromptStyle::webui, AndMeans::word));
  expect_error([&] { check_prompt("a AND [b|c]", PromptStyle::webui, AndMeans::word); }, ErrorKind::usage,
               "\"[b|c]\"");
  EXPECT_EQ(tokenize_prompt(clip(), "a AND b", PromptStyle::webui, 0).at(0).ids,
            tokenize_prompt(clip(), "a AND b", PromptStyle::plain, 0).at(0).ids);
}

TEST(Prompt, PlainBracketsStand) {
  const auto ids = [](std::string_view prompt, PromptStyle style) {
    return tokenize_prompt(clip(), prompt, style, 0).at(0).ids;
  };
  EXPECT_NE(ids("a (red:1.5) car", PromptStyle::plain), ids("a (red:1.5) car", PromptStyle::webui));
  EXPECT_EQ(ids("a (red:1.5) car", PromptStyle::plain), ids("a \\(red:1.5\\) car", PromptStyle::webui));
  EXPECT_EQ(ids("a red car", PromptStyle::plain), ids("a red car", PromptStyle::webui));
  EXPECT_EQ(tokenize_prompt(clip(), "a BREAK b", PromptStyle::plain, 0).size(), 1u);
  for (const float weight : tokenize_prompt(clip(), "a (red:1.5)", PromptStyle::plain, 0).at(0).weights)
    EXPECT_EQ(weight, 1);
  EXPECT_EQ(parse_prompt_style("plain"), PromptStyle::plain);
  EXPECT_EQ(parse_prompt_style("a1111"), std::nullopt);
}

}  // namespace
}  // namespace tstitch
