// What comes with the family of words, from the command line: its ControlNet and its LoRAs fit words-l, and
// change what it paints.
#include <string>
#include <vector>

#include "tests/apps/cli.h"
#include "tstitch/io/png.h"

namespace tstitch {
namespace {

class WordsFamily : public Cli {
 protected:
  static std::string asset(const std::string& name) { return std::string(TSTITCH_ASSETS) + "/words/" + name; }

  // The picture that words-l paints so; what it does not take of a LoRA would be said.
  std::vector<uint8_t> painted(const std::string& name, const std::vector<std::string>& more) const {
    std::vector<std::string> all = {
        "sample", "-m", asset("words-l"), "-p", "red heart", "--seed", "3", "--steps", "2", "-o", name};
    all.insert(all.end(), more.begin(), more.end());
    const Outcome outcome = run(all);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.err.find("applied"), outcome.err.npos) << outcome.err;
    return outcome.code == 0 ? read_png(path(name).string()).pixels : std::vector<uint8_t>();
  }
};

TEST_F(WordsFamily, ItsControlNetSteersTheLargeModel) {
  const auto free = painted("free.png", {});
  EXPECT_NE(painted("steered.png", {"--control-net", asset("words-edges") + ",image=free.png,canny=100:200"}),
            free);
}

TEST_F(WordsFamily, ItsLorasFitTheLargeModel) {
  const auto plain = painted("plain.png", {});
  for (const char* lora : {"words-style.safetensors", "words-lcm.safetensors"})
    EXPECT_NE(painted("changed.png", {"--lora", asset(lora)}), plain) << lora;
}

}  // namespace
}  // namespace tstitch
