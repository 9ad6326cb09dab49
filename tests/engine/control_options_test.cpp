#include "tstitch/engine/control_options.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace tstitch {
namespace {

TEST(ControlOptions, ArePrintedAsTheyAreRead) {
  for (const char* text :
       {"net.safetensors,image=edges.png", "net,image=a.jpg,strength=0.8", "net,image=a.png,interval=0:0.5",
        "net/,image=a.png,strength=0.5,interval=0.25:1,canny=100:200",
        "\"a,b.safetensors\",image=\"c,d \"\"e\"\".png\""})
    EXPECT_EQ(to_string(parse_control("--control-net", text)), text);
  const ControlOption control =
      parse_control("--control-net", "\"a,b\",canny=0:300,interval=20%:80%,image=c.png,strength=1");
  EXPECT_EQ(control.path, "a,b");
  EXPECT_EQ(control.image, "c.png");
  EXPECT_EQ(control.strength, 1);
  EXPECT_EQ(control.interval, (ControlInterval{0.2, 0.8}));
  EXPECT_EQ(control.canny, (CannyThresholds{0, 300}));
  EXPECT_EQ(to_string(control), "\"a,b\",image=c.png,interval=0.2:0.8,canny=0:300");
}

TEST(ControlOptions, WhatIsWrongIsSaidByItsKey) {
  for (const auto& [text, part] :
       {std::pair{"net", "--control-net is \"net\", expected PATH,image=PNG"},
        {",image=a.png", "expected PATH,image=PNG"},
        {"net,image=", "expected PATH,image=PNG"},
        {"net,picture=a.png", "--control-net has no key \"picture\", expected one of: image, strength"},
        {"net,image=a.png,strength", "--control-net: expected strength=VALUE"},
        {"net,image=a.png,image=b.png", "image= is there twice"},
        {"net,image=a.png,strength=0", "--control-net: strength= is 0, expected more than 0 ... 100"},
        {"net,image=a.png,strength=-1", "strength= is -1"},
        {"net,image=a.png,strength=nan", "strength= is nan"},
        {"net,image=a.png,strength=much", "strength= is \"much\", expected a number"},
        {"net,image=a.png,interval=0.5", "interval= is \"0.5\", expected LOW:HIGH"},
        {"net,image=a.png,interval=0.5:0.5", "no step at all"},
        {"net,image=a.png,interval=0:2", "interval= is 2, expected 0 ... 1"},
        {"net,image=a.png,canny=100", "canny= is \"100\", expected LOW:HIGH, such as 100:200"},
        {"net,image=a.png,canny=200:100", "canny= is 200:100, expected 0 <= LOW <= HIGH"},
        {"net,image=a.png,canny=-1:100", "canny= is -1:100"},
        {"net,image=a.png,canny=1.5:100", "expected a whole number"},
        {"\"net", "a quote is not closed"}})
    testing::expect_error(ErrorKind::usage, part, [&, text = text] { parse_control("--control-net", text); });
}

TEST(ControlInterval, HoldsTheStepsThatLieWhollyInIt) {
  const auto steps = [](ControlInterval interval, int count) {
    std::string held;
    for (int step = 0; step < count; ++step) held += interval.holds(step, count) ? '1' : '0';
    return held;
  };
  EXPECT_EQ(steps({}, 10), "1111111111");
  EXPECT_EQ(steps({0.2, 0.8}, 10), "0011111100");
  EXPECT_EQ(steps({0.25, 0.75}, 10), "0001111000");
  EXPECT_EQ(steps({0, 0.5}, 11), "11111000000");
  EXPECT_EQ(steps({0.01, 0.09}, 10), "0000000000");
}

}  // namespace
}  // namespace tstitch
