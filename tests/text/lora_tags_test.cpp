#include "tstitch/text/lora_tags.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"
#include "tstitch/text/unsupported_grammar.h"

namespace tstitch {
namespace {

TEST(LoraTags, AreTakenOutOfThePrompt) {
  std::string prompt = "a <lora:red fox:0.8>fox<lora:snow>, <b> 1 < 2 <lora:night:-.5>";
  EXPECT_EQ(take_lora_tags(prompt), (std::vector<LoraTag>{{"red fox", 0.8}, {"snow", 1}, {"night", -0.5}}));
  EXPECT_EQ(prompt, "a fox, <b> 1 < 2 ");
  EXPECT_TRUE(take_lora_tags(prompt).empty());
}

TEST(LoraTags, OfAnotherFormAreRefused) {
  for (const char* tag :
       {"<lora:>", "<lora::1>", "<lora:fox:>", "<lora:fox:much>", "<lora:fox:1:0.5>", "<lora:fox"})
    testing::expect_error(ErrorKind::usage, tag, [&] {
      std::string prompt = tag;
      take_lora_tags(prompt);
    });
}

TEST(LoraTags, LeftInAPromptAreRefused) {
  testing::expect_error(ErrorKind::usage, "the prompt has \"<lora:fox:1>\"",
                        [] { check_prompt("a <lora:fox:1>", PromptStyle::webui); });
  EXPECT_NO_THROW(check_prompt("a <lora:fox:1>", PromptStyle::plain));
}

}  // namespace
}  // namespace tstitch
