// Replays the broken files that are kept: the manifest.txt beside them says what each must be answered.
#include "tests/io/io_support.h"
#include "tstitch/io/checkpoint.h"
#include "tstitch/io/safetensors.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

struct Corpus {
  const char* folder;
  TensorFile (*open)(const std::string& path);
};

void PrintTo(const Corpus& corpus, std::ostream* out) { *out << corpus.folder; }

class HostileCorpus : public testing::TestWithParam<Corpus> {};

TEST_P(HostileCorpus, EachFileHasItsAnswer) {
  const fs::path folder = fs::path(TSTITCH_SOURCE_DIR) / "tests/hostile" / GetParam().folder;
  std::ifstream manifest(folder / "manifest.txt");
  int listed = 0;
  for (std::string name, code; manifest >> name >> code; ++listed) {
    const auto load_all = [&] {
      const TensorFile file = GetParam().open((folder / name).string());
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

constexpr Corpus kCorpora[] = {
    {"safetensors", [](const std::string& path) { return read_safetensors(path); }},
    {"gguf", [](const std::string& path) { return open_checkpoint(path); }},
    {"torch", [](const std::string& path) { return open_checkpoint(path); }},
};

INSTANTIATE_TEST_SUITE_P(Formats, HostileCorpus, testing::ValuesIn(kCorpora),
                         [](const auto& corpus) { return std::string(corpus.param.folder); });

}  // namespace
}  // namespace tstitch
