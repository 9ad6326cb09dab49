// Files of textual inversion: each form of them, and those that must be refused.
#include "tstitch/zoo/embedding.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "tests/support/expect_error.h"
#include "tests/support/golden.h"
#include "tstitch/base/error.h"
#include "tstitch/io/safetensors.h"
#include "tstitch/nn/random_weights.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;
using Tensors = std::map<std::string, Tensor>;

constexpr uint64_t kSeed = 7;
const std::vector<TextReader> kOne = {{ClipPlace::first, 64}},
                              kTwo = {{ClipPlace::first, 64}, {ClipPlace::second, 192}},
                              kRefiner = {{ClipPlace::second, 192}};

Embedding read(const std::string& file, const std::string& name = "") {
  return Embedding(golden_path("embedding/" + file), name);
}

bool is_same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() &&
         std::memcmp(a.bytes(), b.bytes(), static_cast<size_t>(a.elements()) * sizeof(float)) == 0;
}

const Tensor& first() {
  static const Tensor all = random_uniform("fox/clip_l", {3, 64}, 0.5, kSeed);
  return all;
}
const Tensor& second() {
  static const Tensor all = random_uniform("fox/clip_g", {3, 192}, 0.5, kSeed);
  return all;
}

TEST(Embedding, OfEveryFormHasItsVectorsAndNames) {
  using Names = std::vector<std::string>;
  for (const auto& [file, names] : {std::pair{"fox_webui.pt", Names{"fox_webui"}},
                                    {"fox_parameters.pt", {"fox_parameters"}},
                                    {"fox_kohya.safetensors", {"fox_kohya"}},
                                    {"fox_diffusers.bin", {"fox_diffusers", "<fox>"}},
                                    {"fox_diffusers.safetensors", {"fox_diffusers", "<fox>"}}}) {
    const Embedding embedding = read(file);
    EXPECT_EQ(embedding.names(), names) << file;
    EXPECT_EQ(embedding.vectors(), 3) << file;
    EXPECT_EQ(embedding.obstacle(kOne), "") << file;
    EXPECT_TRUE(is_same(embedding.load(kOne, 0), first())) << file;
  }
  EXPECT_EQ(read("fox_diffusers.bin", "red fox").names(), Names{"red fox"});
  EXPECT_EQ(read("smudge.bin").vectors(), 1);  // a row without a second extent
  for (const char* file : {"sdxl_fox.safetensors", "sdxl_fox.pt"}) {
    const Embedding embedding = read(file);
    EXPECT_EQ(embedding.names(), Names{"sdxl_fox"});
    EXPECT_EQ(embedding.obstacle(kTwo), "");
    EXPECT_TRUE(is_same(embedding.load(kTwo, 0), first()));
    EXPECT_TRUE(is_same(embedding.load(kTwo, 1), second()));
    EXPECT_EQ(embedding.obstacle(kRefiner), "");
    EXPECT_TRUE(is_same(embedding.load(kRefiner, 0), second()));
  }
}

TEST(Embedding, FitsTheEncodersThatItWasMadeFor) {
  EXPECT_EQ(read("fox_kohya.safetensors").obstacle(kTwo),
            "it has vectors for one text encoder, and the model has 2");
  EXPECT_EQ(read("sdxl_fox.pt").obstacle(kOne),
            "it has vectors for SDXL's two text encoders, and the model has 1");
  EXPECT_EQ(read("fox_webui.pt").obstacle({{ClipPlace::first, 1024}}),
            "its vectors \"*\" are 64 wide, and the text encoder reads 1024");
  EXPECT_EQ(read("sdxl_fox.pt").obstacle({{ClipPlace::first, 64}, {ClipPlace::second, 1280}}),
            "its vectors \"clip_g\" are 192 wide, and the text encoder reads 1280");
}

class BrokenEmbedding : public ::testing::Test {
 protected:
  void TearDown() override { fs::remove(path_); }

  void expect(const std::string& message, const Tensors& tensors) const {
    write_safetensors(path_, tensors, {});
    testing::expect_error(ErrorKind::input, message, [&] { Embedding(path_, "").load(kOne, 0); });
  }

  std::string path_ =
      (fs::temp_directory_path() / ("tstitch_embedding_" + std::to_string(getpid()))).string();
};

TEST_F(BrokenEmbedding, IsRefusedInOneSentence) {
  const auto of = [](const Shape& shape) { return random_uniform("x", shape, 1, kSeed); };
  expect("[EMBEDDING] no tensor, expected the vectors of a textual inversion", {});
  expect("[EMBEDDING] 2 tensors, among them \"a\", expected one, or \"clip_l\" and \"clip_g\"",
         {{"a", of({1, 64})}, {"b", of({1, 64})}});
  expect("[EMBEDDING] 3 tensors, among them \"more\"",
         {{"clip_l", of({1, 64})}, {"clip_g", of({1, 192})}, {"more", of({1, 64})}});
  expect("[EMBEDDING] tensors \"clip_l\" and \"text_encoders_0\" are for the same text encoder",
         {{"clip_l", of({1, 64})}, {"text_encoders_0", of({1, 64})}});
  expect("[EMBEDDING] tensors \"clip_g\" and \"clip_l\" have 2 and 1 vectors",
         {{"clip_l", of({1, 64})}, {"clip_g", of({2, 192})}});
  expect("[EMBEDDING] tensor \"a\" has the shape [76, 64], expected 1 ... 75 vectors", {{"a", of({76, 64})}});
  expect("[EMBEDDING] tensor \"a\" has the shape [2, 3, 64]", {{"a", of({2, 3, 64})}});
  expect("[EMBEDDING] tensor \"a\" has the shape [], expected", {{"a", of(Shape())}});
  expect("[EMBEDDING] tensor \"a\" has the shape [0, 64]", {{"a", Tensor({0, 64}, DType::f32)}});
  Tensor broken = of({2, 64});
  broken.data<float>()[70] = NAN;
  expect("[MODEL_NONFINITE]", {{"a", broken}});
}

// As the corpus of broken checkpoints has them, too.
TEST(Embedding, OfAnAttackerIsNeverRun) {
  for (const auto& [file, code] : {std::pair{"EM2_code", "[PKL_DANGEROUS_GLOBAL]"},
                                   {"EM2_code_among_attributes", "[PKL_DANGEROUS_GLOBAL]"},
                                   {"EM4_repeated", "[RES_LIMIT]"},
                                   {"LG1_legacy", "[PT_LEGACY]"},
                                   {"PK1_os.system", "[PKL_DANGEROUS_GLOBAL]"}})
    testing::expect_error(ErrorKind::input, code, [&, &file = file] {
      Embedding(concat(TSTITCH_SOURCE_DIR, "/tests/hostile/torch/", file, ".pt"), "");
    });
}

}  // namespace
}  // namespace tstitch
