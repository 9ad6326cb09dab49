#include "tstitch/engine/stage_options.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace tstitch {
namespace {

TEST(StageOptions, ArePrintedAsTheyAreRead) {
  for (const char* text :
       {"", "model=a.safetensors", "model=a,share=0.4", "until=12,cfg=3", "cfg=1.5,cfg-interval=0.2:0.8",
        "share=0.25,negative=blurry", "negative=\"blurry, dark\"", "cfg=2,negative=\"say \"\"no\"\"\"",
        "cfg=2,lora=fox.safetensors:0.5,lora=\"a,b:1\"", "lora=none", "lora=./none:1", "share=0.5,dtype=int8",
        "dtype=int8,merge=0.5,cache=3", "cache=2:helper", "cache=5:center=15",
        "cache=5:helper:center=0:power=1.2", "skip=3+7+12", "cache=2,skip=0"})
    EXPECT_EQ(to_string(parse_stage(text)), text);
  const StageOptions stage = parse_stage("cfg=4,model=\"a,b\",share=40%,negative=\"x \"\"y\"\"\"");
  EXPECT_EQ(stage.model, "a,b");
  EXPECT_EQ(stage.share, 0.4);
  EXPECT_EQ(stage.negative_prompt, "x \"y\"");
  EXPECT_EQ(settings_of(stage), "cfg=4,negative=\"x \"\"y\"\"\"");
  EXPECT_EQ(parse_stage("negative=").negative_prompt, "");
  EXPECT_EQ(to_string(parse_stage("cache=3:paper,merge=50%")), "merge=0.5,cache=3");
  EXPECT_EQ(to_string(parse_stage("cache=3:power=1.40:center=2:paper")), "cache=3:center=2");
  EXPECT_EQ(to_string(parse_stage("skip=12+3-5,skip=1")), "skip=1+3+4+5+12");
  EXPECT_EQ(to_string(parse_stage(" cfg=2,  negative=a b, dtype=int8, ")), "cfg=2,negative=a b,dtype=int8");
  EXPECT_EQ(to_string(parse_twin("int8, merge=0.5, skip=2")), "dtype=int8,merge=0.5,skip=2");
}

TEST(StageOptions, WhatIsWrongIsSaidByItsKey) {
  for (const auto& [text, part] :
       {std::pair{"loras=x", "no key \"loras\", expected one of: model, share"},
        {"lora=:1", "lora= is \":1\", expected PATH or PATH:WEIGHT"},
        {"lora=none:1", "lora= is \"none:1\", expected none, which has no weight, or ./none"},
        {"lora=none,lora=a", "lora= none stands alone"},
        {"lora=a,lora=none", "lora= none stands alone"},
        {"shares=0.4", "no key \"shares\""},
        {"share", "expected share=VALUE"},
        {"share,cfg=2", "expected share=VALUE"},
        {"share=1.5", "share= is 1.5, expected 0 ... 1"},
        {"share=", "share= is \"\""},
        {"until=2.5", "until= is \"2.5\", expected a whole number"},
        {"cfg=much", "cfg= is \"much\""},
        {"cfg=1,cfg=2", "cfg= is there twice"},
        {"share=0.4,until=3", "exclude each other"},
        {"cfg-interval=0.4", "expected LOW:HIGH"},
        {"cfg-interval=0.8:0.2", "no step at all"},
        {"dtype=f16", "dtype= is \"f16\", expected f32, bf16 or int8"},
        {"merge=0", "merge= is 0, expected more than 0 ... 0.75 of the tokens"},
        {"merge=0.8", "merge= is 0.8"},
        {"merge=2", "merge= is 2, expected more than 0 ... 0.75 of the tokens"},
        {"merge=some", "merge= is \"some\""},
        {"cache=1", "cache= is 1, expected that one of 2 ... 1000 evaluations"},
        {"cache=2.5", "cache= is \"2.5\", expected a whole number"},
        {"cache=3:deep", "expected N, N:paper or N:helper"},
        {"cache=3:paper:helper", "expected N, N:paper or N:helper"},
        {"cache=3:middle=2", "expected N, N:paper or N:helper"},
        {"cache=3:power=1.4", "power= is for evaluations around a center="},
        {"cache=3:center=1.5", "cache= center= is \"1.5\", expected a whole number"},
        {"cache=3:center=-1", "cache= center= is -1, expected 0 ... 1000"},
        {"cache=3:center=1:power=1", "cache= power= is 1, expected more than 1 ... 10"},
        {"skip=", "skip= is \"\", expected the numbers of blocks"},
        {"skip=a", "skip= is \"a\", expected the numbers of blocks"},
        {"skip=-1", "skip= is \"-1\", expected the numbers of blocks"},
        {"skip=1+", "skip= is \"1+\", expected the numbers of blocks"},
        {"skip=+1", "skip= is \"+1\", expected the numbers of blocks"},
        {"skip=1--2", "skip= is \"1--2\", expected the numbers of blocks"},
        {"skip=5-3", "expected the numbers of blocks, from 0, as 3+7+12 or 3-5+12"},
        {"skip=1024", "expected the numbers of blocks"},
        {"skip=3+2-4", "skip= names block 3 twice"},
        {"cache=", "cache= is \"\""},
        {"negative=\"a", "a quote is not closed"},
        {"negative=\"a\"b", "expected a comma"}})
    testing::expect_error(ErrorKind::usage, part, [&, text = text] { parse_stage(text); });
  testing::expect_error(ErrorKind::usage, "--twin is \"int8,skip=1, 2\", expected + between blocks: skip=1+2",
                        [] { parse_twin("int8,skip=1, 2"); });
}

TEST(GuidanceInterval, HoldsTheStepsWhoseShareLiesInIt) {
  const GuidanceInterval middle{0.2, 0.8};
  std::string guided;
  for (int step = 0; step < 10; ++step) guided += middle.holds(step, 10) ? '1' : '0';
  EXPECT_EQ(guided, "0011111100");
  EXPECT_TRUE(GuidanceInterval{}.whole());
  EXPECT_FALSE(middle.whole());
}

}  // namespace
}  // namespace tstitch
