#include "tstitch/condition/padding_token.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/expect_error.h"
#include "tstitch/text/clip_tokenizer.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

class PaddingToken : public ::testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_ / "tokenizer"); }
  void TearDown() override { fs::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / "tokenizer" / name) << text;
  }
  std::optional<int32_t> found() const { return find_padding((folder_ / "text_encoder").string()); }

  fs::path folder_ = fs::temp_directory_path() / ("tstitch_padding_" + std::to_string(getpid()));
};

TEST_F(PaddingToken, IsWhatTheTokenizerSays) {
  EXPECT_EQ(found(), std::nullopt);
  write("tokenizer_config.json", R"({"pad_token": "<|endoftext|>"})");
  EXPECT_EQ(found(), ClipTokenizer::kEnd);
  write("tokenizer_config.json", R"({"pad_token": {"content": "!", "lstrip": false}})");
  EXPECT_EQ(found(), 0);
  write("tokenizer_config.json", R"({"model_max_length": 77})");
  EXPECT_EQ(found(), std::nullopt);
}

// As the folder of Stable Diffusion 2, whose two files contradict each other.
TEST_F(PaddingToken, TheMapIsAskedFirstUnlessTheConfigurationListsItsTokens) {
  write("special_tokens_map.json", R"({"pad_token": "!"})");
  write("tokenizer_config.json", R"({"pad_token": "<|endoftext|>"})");
  EXPECT_EQ(found(), 0);
  write("tokenizer_config.json", R"({"pad_token": "<|endoftext|>", "added_tokens_decoder": {}})");
  EXPECT_EQ(found(), ClipTokenizer::kEnd);
}

TEST_F(PaddingToken, BelongsToTheEncoderOfItsNumber) {
  write("tokenizer_config.json", R"({"pad_token": "!"})");
  EXPECT_EQ(find_padding((folder_ / "text_encoder_2").string()), std::nullopt);
  EXPECT_EQ(find_padding((folder_ / "clip").string()), std::nullopt);
}

TEST_F(PaddingToken, AnotherIsRefusedByName) {
  write("tokenizer_config.json", R"({"pad_token": "[PAD]"})");
  testing::expect_error(ErrorKind::input, "tokenizer_config.json: \"pad_token\" is \"[PAD]\"",
                        [&] { found(); });
  write("tokenizer_config.json", R"({"pad_token": 7})");
  testing::expect_error(ErrorKind::input, "\"pad_token\" is not a token", [&] { found(); });
}

}  // namespace
}  // namespace tstitch
