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
  prompt = "<lora:snow>a <lyco:red fox:0.8>fox<lora:night>";
  EXPECT_EQ(take_lora_tags(prompt), (std::vector<LoraTag>{{"snow", 1}, {"red fox", 0.8}, {"night", 1}}));
  EXPECT_EQ(prompt, "a fox");
}

TEST(LoraTags, OfAnotherFormAreRefused) {
  for (const char* tag : {"<lora:>", "<lora::1>", "<lora:fox:>", "<lora:fox:much>", "<lora:fox:1:0.5>",
                          "<lora:fox", "<lyco:>", "<lyco:fox:1:1"})
    testing::expect_error(ErrorKind::usage, tag, [&] {
      std::string prompt = tag;
      take_lora_tags(prompt);
    });
}

TEST(LoraTags, LeftInAPromptAreRefused) {
  testing::expect_error(ErrorKind::usage, "the prompt has \"<lora:fox:1>\"",
                        [] { check_prompt("a <lora:fox:1>", PromptStyle::webui); });
  testing::expect_error(ErrorKind::usage, "the prompt has \"<lyco:fox>\"",
                        [] { check_prompt("a <lyco:fox>", PromptStyle::webui); });
  EXPECT_NO_THROW(check_prompt("a <lora:fox:1>", PromptStyle::plain));
}

TEST(LoraTags, HypernetworksAreRefusedByName) {
  testing::expect_error(ErrorKind::usage,
                        "the prompt has \"<hypernet:fox:1>\": hypernetworks are not supported",
                        [] { check_prompt("a <hypernet:fox:1> b", PromptStyle::webui); });
  EXPECT_NO_THROW(check_prompt("a <hypernet:fox:1>", PromptStyle::plain));
}

}  // namespace
}  // namespace tstitch
