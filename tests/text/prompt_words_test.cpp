// Words that stand for tokens of their own: where they are found, and the chunks that they make.
#include "tstitch/text/prompt_words.h"

#include "tests/text/text_support.h"
#include "tstitch/text/prompt.h"

namespace tstitch {
namespace {

constexpr int32_t kFirst = ClipTokenizer::kTokens;

// The names found in a text, one after the other, each as it stands there.
std::vector<std::string> found_in(const std::string& text, const std::vector<std::string>& names) {
  std::vector<PromptWord> list;
  for (const std::string& name : names) list.push_back({.name = name});
  const PromptWords words(list);
  std::vector<std::string> found;
  for (auto word = words.find(text); word; word = words.find(text, word->at + word->length))
    found.push_back(text.substr(word->at, word->length));
  return found;
}

using Texts = std::vector<std::string>;

TEST(PromptWords, AreWordsOfTheirOwn) {
  EXPECT_EQ(found_in("a fox, foxes, my_fox, fox2 and the FOX", {"fox"}), (Texts{"fox", "FOX"}));
  EXPECT_EQ(found_in("a fox-like (fox) fox", {"fox"}), (Texts{"fox", "fox", "fox"}));
  EXPECT_EQ(found_in("<fox>,a<fox>b", {"<fox>"}), (Texts{"<fox>", "<fox>"}));
  EXPECT_EQ(found_in("\u00c9t\u00e9 \u00e9t\u00e9s", {"\u00e9t\u00e9"}), (Texts{"\u00c9t\u00e9"}));
  EXPECT_EQ(found_in("anything", {}), Texts());
}

TEST(PromptWords, OfSeveralTheLongestCounts) {
  const Texts names = {"bad", "bad-hands-5", "bad-hands"};
  EXPECT_EQ(found_in("bad-hands-5, bad-hands, bad", names), (Texts{"bad-hands-5", "bad-hands", "bad"}));
  EXPECT_EQ(found_in("bad-hands-55", names), (Texts{"bad-hands"}));
}

std::vector<PromptChunk> chunks(const std::string& prompt, PromptStyle style, int32_t count) {
  return tokenize_prompt(clip(), prompt, style, 0,
                         PromptWords({{.name = "my fox", .first_id = kFirst, .count = count},
                                      {.name = "<s>", .first_id = kFirst + count, .count = 1}}));
}

TEST(PromptWords, StandForTheirTokensWithTheirWeight) {
  const PromptChunk chunk = chunks("a (My Fox:1.5),<s> a", PromptStyle::webui, 3).at(0);
  const std::vector<int32_t> ids = {
      ClipTokenizer::kBegin, 320, kFirst, kFirst + 1, kFirst + 2, 267, kFirst + 3, 320,
      ClipTokenizer::kEnd,   0};
  const std::vector<float> weights = {1, 1, 1.5, 1.5, 1.5, 1, 1, 1, 1, 1};
  for (size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(chunk.ids[i], ids[i]) << i;
    EXPECT_EQ(chunk.weights[i], weights[i]) << i;
  }
  // Brackets as they stand are characters beside it.
  EXPECT_EQ(chunks("my fox", PromptStyle::plain, 3).at(0).ids[1], kFirst);
}

// As the stable-diffusion-webui has it: what would not fit begins the next chunk.
TEST(PromptWords, AreNotCutByTheEndOfAChunk) {
  for (const auto& [before, cut] : {std::pair{72, false}, {73, true}}) {
    const auto all =
        chunks(repeated("a ", 2 * static_cast<size_t>(before)) + "my fox a", PromptStyle::webui, 3);
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all[0].ids[static_cast<size_t>(before)], 320);
    EXPECT_EQ(all[0].ids[static_cast<size_t>(before) + 1], cut ? ClipTokenizer::kEnd : kFirst);
    EXPECT_EQ(all[1].ids[1], cut ? kFirst : 320);
  }
  const auto whole = chunks("a my fox my fox", PromptStyle::webui, 75);
  ASSERT_EQ(whole.size(), 3u);
  EXPECT_EQ(whole[2].ids[75], kFirst + 74);
  EXPECT_EQ(whole[2].ids[76], ClipTokenizer::kEnd);
}

TEST(PromptWords, NamedByAPromptAreKnown) {
  const PromptWords words({{.name = "fox"}, {.name = "a:b"}});
  EXPECT_EQ(words_in("(fox:1.2)", PromptStyle::webui, words), (std::vector<bool>{true, false}));
  EXPECT_EQ(words_in("f[ox] a:b", PromptStyle::webui, words), (std::vector<bool>{false, true}));
  EXPECT_EQ(words_in("", PromptStyle::plain, words), (std::vector<bool>{false, false}));
}

TEST(PromptWords, ManyNamesTakeNoTime) {
  std::vector<PromptWord> names;
  for (int i = 0; i < 1000; ++i) names.push_back({.name = repeated("a", 100) + std::to_string(i)});
  const PromptWords words(names);
  for (const std::string unit : {"a", "a ", "aaaaaaaaaaaaaaaaaaa,", "\u00e9"})
    EXPECT_LT(seconds_of([&] { EXPECT_FALSE(words.find(repeated(unit, 1 << 20))); }), 5) << unit;
}

}  // namespace
}  // namespace tstitch
