#include "tstitch/serve/infotext.h"

#include <gtest/gtest.h>

namespace tstitch::serve {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

TEST(Infotext, HasPromptsAndSettings) {
  EXPECT_EQ(parse_infotext(
                "a cat: black,\nin the sun\nNegative prompt: a dog\nSteps: 20, Sampler: DPM++ 2M, Model: a "
                "(steps 1-8) + b, "
                "Lora hashes: \"fox: 01, owl: 23\", Text: \"say \\\"hi\\\", now\", Version: tstitch 0.1"),
            (Pairs{{"Prompt", "a cat: black,\nin the sun"},
                   {"Negative prompt", "a dog"},
                   {"Steps", "20"},
                   {"Sampler", "DPM++ 2M"},
                   {"Model", "a (steps 1-8) + b"},
                   {"Lora hashes", "fox: 01, owl: 23"},
                   {"Text", "say \"hi\", now"},
                   {"Version", "tstitch 0.1"}}));
  EXPECT_EQ(parse_infotext("\nSteps: 1, A: 2, B: 3")[1], (Pairs::value_type{"Negative prompt", ""}));
}

TEST(Infotext, AnyOtherTextHasNone) {
  for (const char* text :
       {"", "a cat", "a cat\nin the sun", "a\nSteps: 20", "a\nSteps: 20, b", "a\nx: \"unclosed, y: 1, z: 2"})
    EXPECT_EQ(parse_infotext(text), Pairs{}) << text;
}

}  // namespace
}  // namespace tstitch::serve
