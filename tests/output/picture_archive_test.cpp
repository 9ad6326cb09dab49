#include "tstitch/output/picture_archive.h"

#include <filesystem>
#include <fstream>

#include "tests/io/io_support.h"
#include "tstitch/io/safetensors.h"
#include "tstitch/zoo/assets.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

using PictureArchiveTest = FolderTest;

struct GivenUp {};

TEST_F(PictureArchiveTest, APackThatIsGivenUpLeavesTheRun) {
  const std::vector<ModelInfo> infos = read_model_infos(builtin_models());
  const RunSpec spec = make_run_spec(infos, {.steps = "2", .classes = {1, 5}});
  const auto backend = make_backend({.device = "cpu", .dtype = "f32", .threads = 1});
  const RunManifest manifest(spec, infos, RunContents(infos, "", [] {}), *backend);
  const std::string archive = path("a.npz"), parts = parts_of(archive);
  for (const int64_t rank : {0, 1}) {
    PictureArchive output(archive, spec, manifest, {.index = rank, .count = 2}, false);
    output.add(rank, {Image{28, 28, 1, std::vector<uint8_t>(28 * 28, static_cast<uint8_t>(rank))}});
  }

  // At every moment that it asks.
  int moment = 0;
  for (bool done = false; !done; ++moment) {
    ASSERT_LT(moment, 100);
    int left = moment;
    try {
      pack_finished_run(parts, archive, [&] {
        if (left-- == 0) throw GivenUp();
      });
      done = true;
    } catch (const GivenUp&) {
      EXPECT_FALSE(fs::exists(archive)) << moment;
      for (const auto& entry : fs::directory_iterator(parts))
        EXPECT_NE(entry.path().extension(), ".tmp") << moment;
    }
  }
  EXPECT_GE(moment, 5);  // two records are verified, pictures and classes of each copied
  EXPECT_TRUE(fs::exists(archive));
  EXPECT_FALSE(fs::exists(parts));
}

// What prompts are padded with is said by files beside the text encoder, or by none.
TEST_F(PictureArchiveTest, TheManifestKnowsThePadding) {
  std::vector<ModelInfo> infos = {read_model_info(builtin_models()[0])};
  const fs::path encoder = path("text_encoder"), tokenizer = path("tokenizer");
  fs::create_directories(encoder);
  fs::create_directories(tokenizer);
  write_safetensors((encoder / "model.safetensors").string(), {{"a", Tensor({2}, DType::f32)}}, {});
  infos[0].condition.kind = ConditionKind::text;
  infos[0].files.text_encoders = {encoder.string()};
  const auto contents = [&] { return RunContents(infos, "", [] {}).text_encoders.at(0); };
  const std::string usual = contents();
  std::ofstream(tokenizer / "special_tokens_map.json") << R"({"pad_token": "<|endoftext|>"})";
  EXPECT_EQ(contents(), usual);
  std::ofstream(tokenizer / "special_tokens_map.json") << R"({"pad_token": "!"})";
  EXPECT_NE(contents(), usual);
  EXPECT_NE(contents().find("padding 0"), std::string::npos) << contents();
}

TEST_F(PictureArchiveTest, ReadingTheModelsCanBeGivenUp) {
  const std::vector<ModelInfo> infos = read_model_infos(builtin_models());
  EXPECT_THROW(RunContents(infos, "", [] { throw GivenUp(); }), GivenUp);
}

}  // namespace
}  // namespace tstitch
