#include "tstitch/output/picture_archive.h"

#include <filesystem>

#include "tests/io/io_support.h"
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

TEST_F(PictureArchiveTest, ReadingTheModelsCanBeGivenUp) {
  const std::vector<ModelInfo> infos = read_model_infos(builtin_models());
  EXPECT_THROW(RunContents(infos, "", [] { throw GivenUp(); }), GivenUp);
}

}  // namespace
}  // namespace tstitch
