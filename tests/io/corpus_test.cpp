// Replays the broken files that are kept: tests/hostile/safetensors/manifest.txt says what each must be
// answered.
#include "tests/io/safetensors_support.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

TEST(HostileCorpus, EachFileHasItsAnswer) {
  const fs::path folder = fs::path(TSTITCH_SOURCE_DIR) / "tests/hostile/safetensors";
  std::ifstream manifest(folder / "manifest.txt");
  int listed = 0;
  for (std::string name, code; manifest >> name >> code; ++listed) {
    const auto load_all = [&] {
      const TensorFile file = read_safetensors((folder / name).string());
      for (const auto& [tensor, info] : file.tensors()) file.load(tensor, Shape(info.shape), DType::bf16);
    };
    SCOPED_TRACE(name);
    if (code == "accepted") {
      EXPECT_NO_THROW(load_all());
    } else {
      expect_refused(load_all, code, name);
    }
  }
  EXPECT_GE(listed, 30);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), listed + 1)
      << "files without a line";
}

}  // namespace
}  // namespace tstitch
