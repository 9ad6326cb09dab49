// Checkpoints that PyTorch wrote, and what does not fit into small files; every way to be wrong is a file in
// tests/hostile/torch.
#include "tstitch/io/torch_file.h"

#include <chrono>
#include <cstdlib>

#include "tests/io/io_support.h"
#include "tests/support/zip_archive.h"
#include "tstitch/io/checkpoint.h"
#include "tstitch/io/pickle.h"
#include "tstitch/io/safetensors.h"
#include "tstitch/io/zip.h"

namespace tstitch {
namespace {

using namespace std::string_literals;

std::string golden_file(const std::string& name) {
  return std::string(TSTITCH_SOURCE_DIR) + "/tests/golden/torch/" + name;
}

std::vector<float> values(const TensorFile& file, const std::string& name) {
  const Tensor x = file.load(name, Shape(file.tensors().at(name).shape), DType::f32);
  return {x.data<float>(), x.data<float>() + x.elements()};
}

// What pushes a text.
std::string text(std::string_view content) {
  std::string program = "U";
  program += static_cast<char>(content.size());
  program += content;
  return program;
}

// What pushes some elements of a storage as a tensor with one dimension.
std::string vector(const std::string& type, const std::string& key, int64_t storage_elements, int64_t offset,
                   int64_t elements) {
  const auto integer = [](int64_t value) { return "\x8a\x08" + raw(value); };
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\n" + type + "\n" + text(key) +
         text("cpu") + integer(storage_elements) + "tQ" + integer(offset) + integer(elements) +
         "\x85K\1\x85\x89NtR";
}

// A pickle of {"w": the six floats of storage 0}, with `inserted` run before.
std::string good_pickle(const std::string& inserted = "", const std::string& more_items = "") {
  return "\x80\x02" + inserted + "}(" + text("w") + vector("FloatStorage", "0", 6, 0, 6) + more_items + "u.";
}

std::string checkpoint(const std::string& pickle, const std::string& storage = std::string(24, '\0')) {
  ZipArchive zip;
  zip.add("x/data.pkl", pickle);
  zip.add("x/data/0", storage);
  return zip.finish();
}

TensorFile parse(const std::string& bytes, WeightChoice which = WeightChoice::automatic) {
  return parse_torch_file(bytes_of(bytes), "x.pt", which);
}

// `stem`.pt as PyTorch wrote it and `stem`.safetensors must hold the same.
void expect_equal_files(const std::string& stem) {
  SCOPED_TRACE(stem);
  const TensorFile file = open_checkpoint(stem + ".pt"), expected = read_safetensors(stem + ".safetensors");
  EXPECT_EQ(file.tensors().size(), expected.tensors().size());
  for (const auto& [name, info] : expected.tensors()) {
    SCOPED_TRACE(name);
    const auto found = file.tensors().find(name);
    ASSERT_NE(found, file.tensors().end());
    EXPECT_EQ(found->second.dtype_name, info.dtype_name);
    EXPECT_EQ(found->second.dtype, info.dtype);
    ASSERT_EQ(found->second.shape, info.shape);
    if (info.dtype && info.dtype_name.find('F') != std::string::npos) {
      EXPECT_EQ(values(file, name), values(expected, name));
    } else if (found->second.strides.empty()) {
      EXPECT_TRUE(std::ranges::equal(found->second.bytes, info.bytes));
    }
  }
}

class TorchGolden : public testing::TestWithParam<const char*> {};

TEST_P(TorchGolden, HoldsWhatSafetensorsHolds) { expect_equal_files(golden_file(GetParam())); }

INSTANTIATE_TEST_SUITE_P(Files, TorchGolden,
                         testing::Values("bare", "state_dict", "dit_training", "lightning", "types", "views",
                                         "parameters", "nested", "protocol1", "protocol2", "protocol3",
                                         "protocol4", "protocol5"),
                         [](const auto& file) { return std::string(file.param); });

// For maintainers: tools/goldens/make_torch_files.py --random writes as many more as wanted.
TEST(TorchFile, FilesOfTheEnvironment) {
  const char* folder = std::getenv("TSTITCH_TORCH_FILES");
  if (!folder) GTEST_SKIP() << "TSTITCH_TORCH_FILES names no folder";
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".pt") {
      expect_equal_files(entry.path().parent_path() / entry.path().stem());
      ++files;
    }
  EXPECT_GT(files, 0);
}

TEST(TorchFile, TensorsStayInTheFile) {
  const auto mapped = std::make_shared<const MappedFile>(golden_file("views.pt"));
  const TensorFile file = read_torch_file(mapped, WeightChoice::automatic);
  const std::byte *begin = mapped->bytes().data(), *end = begin + mapped->bytes().size();
  for (const auto& [name, info] : file.tensors()) {
    EXPECT_TRUE(info.bytes.data() >= begin && info.bytes.data() + info.bytes.size() <= end) << name;
    EXPECT_EQ(info.strides.empty(), name != "transposed" && name != "column" && name != "every_second" &&
                                        name != "windows" && name != "expanded" && name != "permuted" &&
                                        name != "channels_last")
        << name;
  }
}

TEST(TorchFile, TheChoiceOfWeights) {
  const std::string name = golden_file("dit_training.pt");
  const TensorFile average = read_torch_file(name, WeightChoice::ema),
                   trained = read_torch_file(name, WeightChoice::model);
  EXPECT_EQ(average.metadata().at("weights"), "ema");
  EXPECT_EQ(trained.metadata().at("weights"), "model");
  EXPECT_EQ(values(average, "0.bias").front(), 6.0f);  // numbers(4, start=12)
  EXPECT_NE(values(trained, "0.bias").front(), 6.0f);
  EXPECT_EQ(read_torch_file(name).metadata().at("weights"), "ema");
}

TEST(TorchFile, AnAverageThatIsNotThere) {
  for (const char* name : {"bare.pt", "nested.pt", "bare.safetensors"})
    expect_refused([&] { open_checkpoint(golden_file(name), WeightChoice::ema); }, "PT_NO_WEIGHTS");
  for (const char* name : {"bare.pt", "nested.pt", "bare.safetensors"})
    EXPECT_NO_THROW(open_checkpoint(golden_file(name), WeightChoice::model));
  // The average of latent diffusion models lies beside the weights.
  for (const char* name : {"lightning.pt", "lightning.safetensors"})
    EXPECT_TRUE(open_checkpoint(golden_file(name), WeightChoice::ema).tensors().contains("model_ema.decay"));
}

// A name may be a key, and names may be long (found by fuzz_pickle).
TEST(TorchFile, LongKeysMakeNoLongMessage) {
  std::string names;
  for (char c = 'a'; c < 'g'; ++c) names += "ctorch._utils\n" + std::string(300, c) + "\nK\1";
  expect_refused([&] { parse(checkpoint(good_pickle("", names)), WeightChoice::ema); }, "PT_NO_WEIGHTS");
  try {
    parse(checkpoint(good_pickle("", names)), WeightChoice::ema);
  } catch (const Error& e) {
    EXPECT_LE(std::string_view(e.what()).size(), 500u);
  }
}

TEST(TorchFile, WhatIsNoTensorIsCounted) {
  const TensorFile file = parse(checkpoint(good_pickle("", "K\1K\2" + text("step") + "K\1")));
  EXPECT_EQ(file.tensors().size(), 1u);
  EXPECT_EQ(file.metadata().at("ignored"), "2");
  EXPECT_FALSE(file.metadata().contains("weights"));
}

TEST(TorchFile, KeysAreListedWhenThereAreNoWeights) {
  expect_refused([] { parse(checkpoint("\x80\x02}(U\1aNU\1bNK\1Nu.")); }, "PKL_NO_STATE_DICT",
                 "its keys: \"a\", \"b\", an integer");
  expect_refused([] { parse(checkpoint("\x80\x02]."s)); }, "PKL_NO_STATE_DICT", "is a list");
  expect_refused([] { parse(checkpoint("\x80\x02"s + "cmy.nets\nDiT\n)\x81.")); }, "PKL_NO_STATE_DICT",
                 "what my.nets.DiT gives");
}

TEST(TorchFile, MessagesNameTheTensor) {
  expect_refused(
      [] { parse(checkpoint(good_pickle("", text("blocks.0") + vector("FloatStorage", "0", 6, 3, 4)))); },
      "PT_VIEW_RANGE", "tensor \"blocks.0\": a view of shape [4]");
  expect_refused([] { parse(checkpoint(good_pickle("", "K\1" + vector("FloatStorage", "0", 6, 3, 4)))); },
                 "PT_VIEW_RANGE", "a tensor without name: a view of shape [4]");
}

// --- Z18 and beyond: damage anywhere ---

TEST(TorchFile, Z18_EveryPrefixIsRefused) {
  const std::string whole = read_whole(golden_file("bare.pt"));
  ASSERT_EQ(parse(whole).tensors().size(), 2u);
  for (size_t n = 0; n < whole.size(); ++n) {
    const std::string prefix = whole.substr(0, n);
    EXPECT_THROW(parse(prefix), Error) << n << " bytes";
  }
}

TEST(TorchFile, EveryBitFlipIsRefusedOrChangesNothing) {
  const std::string whole = read_whole(golden_file("bare.pt"));
  const TensorFile original = parse(whole);
  const std::vector<float> weight = values(original, "weight"), bias = values(original, "bias");
  int refused = 0, accepted = 0;
  for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    try {
      const TensorFile file = parse(flipped);
      EXPECT_EQ(values(file, "weight"), weight) << "bit " << bit;
      EXPECT_EQ(values(file, "bias"), bias) << "bit " << bit;
      ++accepted;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input) << error.what();
      ++refused;
    }
  }
  // What is left: dates, versions, padding and the text of an identification that nobody reads.
  EXPECT_GT(refused, accepted / 2);
}

// --- what is too large for a file in the tree ---

class Stopwatch {
 public:
  ~Stopwatch() { EXPECT_LT(std::chrono::steady_clock::now() - start_, std::chrono::seconds(10)); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

std::string repeated(const std::string& part, size_t times) {
  std::string text;
  text.reserve(part.size() * times);
  for (size_t i = 0; i < times; ++i) text += part;
  return text;
}

void expect_pickle(const std::string& inserted, const std::string& code, const std::string& part = "") {
  const Stopwatch stopwatch;
  const std::string bytes = checkpoint(good_pickle(inserted));
  if (code.empty())
    EXPECT_EQ(parse(bytes).tensors().size(), 1u);
  else
    expect_refused([&] { parse(bytes); }, code, part);
}

TEST(TorchFile, PK7_PK16_TheLimitsOfAPickle) {
  expect_pickle(repeated("N0", 23 << 20), "");
  expect_pickle(repeated("N0", 24 << 20), "PKL_LIMIT", "bytes, expected at most");
  expect_pickle(repeated("]0", 3'000'000), "PKL_LIMIT", "2000000 objects");
  expect_pickle(repeated("N", 1'000'001), "PKL_LIMIT", "on the stack");
  expect_pickle(
      "](" + repeated("N", 900'000) + "e(" + repeated("N", 900'000) + "e(" + repeated("N", 900'000) + "e0",
      "PKL_LIMIT", "elements");
  expect_pickle(repeated("(", 1'000'000), "PKL_DEPTH");
  expect_pickle("N" + repeated("\x85", 1'000'000), "PKL_DEPTH");
  expect_pickle(repeated("]", 900'000) + repeated("a", 899'999), "PKL_DEPTH");
  expect_pickle("N" + repeated("\x94", 2'000'001), "PKL_MEMO");
}

TEST(TorchFile, PK7_WaysToTheWeightsDoNotMultiply) {
  // Each level has the next under all of the keys that are looked for; none has a tensor.
  std::string program = "}";
  for (int level = 0; level < 500; ++level) {
    program +=
        "q\x01"
        "0}(";
    for (const char* key : {"ema", "model_ema", "state_dict", "model", "module", "net", "params"})
      program += text(key) + "h\1";
    program += "u";
  }
  const Stopwatch stopwatch;
  expect_refused([&] { parse(checkpoint("\x80\x02" + program + ".")); }, "PKL_NO_STATE_DICT");
}

TEST(TorchFile, PT_ManyTensorsInOneSharedRecord) {
  // A checksum is computed once, not once per tensor.
  constexpr int64_t kElements = 1 << 22;
  std::string program = "\x80\x02}(";
  for (int i = 0; i < 2000; ++i)
    program += text(std::to_string(i)) + vector("FloatStorage", "0", kElements, i, 1);
  const std::string bytes = checkpoint(program + "u.", std::string(4 * kElements, '\0'));
  const Stopwatch stopwatch;
  const TensorFile file = parse(bytes);
  for (const auto& [name, info] : file.tensors()) EXPECT_EQ(values(file, name), std::vector<float>{0});
}

TEST(TorchFile, Z12_ManyEntries) {
  const auto with = [](int count) {
    ZipArchive zip;
    zip.add("x/data.pkl", good_pickle());
    zip.add("x/data/0", std::string(24, '\0'));
    for (int i = 0; i < count; ++i) zip.add("x/more/" + std::to_string(i), "");
    return zip.finish();
  };
  const std::string many = with(70'000), too_many = with(200'000);
  const Stopwatch stopwatch;
  EXPECT_EQ(parse(many).tensors().size(), 1u);
  expect_refused([&] { parse(too_many); }, "RES_LIMIT", "200002 entries");
}

class TorchFileOnDisk : public FolderTest {};

TEST_F(TorchFileOnDisk, Z9_RecordsBeyondFourGigabytes) {
  constexpr int64_t kLarge = (int64_t{5} << 30) + 8;
  ZipArchive zip;
  zip.add("x/data.pkl", good_pickle("", text("b") + vector("ByteStorage", "1", kLarge, 0, kLarge)));
  const std::string name = write("large.pt", zip.add_hole("x/data/1", kLarge));
  std::filesystem::resize_file(name, std::filesystem::file_size(name) + kLarge);
  std::string floats;
  for (int i = 0; i < 6; ++i) floats += raw(static_cast<float>(i));
  zip.add("x/data/0", floats);
  std::ofstream(name, std::ios::binary | std::ios::app) << zip.finish();

  const Stopwatch stopwatch;
  const TensorFile file = read_torch_file(name);
  EXPECT_EQ(file.tensors().at("b").bytes.size(), size_t{kLarge});
  EXPECT_EQ(values(file, "w"), (std::vector<float>{0, 1, 2, 3, 4, 5}));
}

TEST_F(TorchFileOnDisk, G8_AFileThatShrinksIsNotTouched) {
  const std::string name = write("a.pt", checkpoint(good_pickle()));
  const TensorFile file = read_torch_file(name);
  EXPECT_NO_THROW(file.load("w", {6}, DType::f32));
  std::filesystem::resize_file(name, 40);
  expect_refused([&] { file.load("w", {6}, DType::f32); }, "IO_CHANGED");
}

TEST_F(TorchFileOnDisk, TheContentDecidesNotTheName) {
  EXPECT_EQ(open_checkpoint(write("a.safetensors", checkpoint(good_pickle()))).tensors().size(), 1u);
  // A header of 0x04034b50 bytes, so that the file begins like a zip archive.
  EXPECT_TRUE(
      open_checkpoint(write("b.pt", raw(uint64_t{0x04034b50}) + "{}" + std::string(0x04034b50 - 2, ' ')))
          .tensors()
          .empty());
}

// --- the graph that a pickle gives ---

TEST(Pickle, IsReadAsData) {
  const std::string program = "\x80\x04(K\7J\xfe\xff\xff\xff\x8a\2\x10\x27U\1acsome\nThing\n(K\1tRNl."s;
  const Pickle pickle(bytes_of(program), "x");
  std::vector<PickleObject> elements;
  for (const PickleObject element : pickle.root().elements()) elements.push_back(element);
  ASSERT_EQ(elements.size(), 6u);
  EXPECT_EQ(elements[0].integer(), 7);
  EXPECT_EQ(elements[1].integer(), -2);
  EXPECT_EQ(elements[2].integer(), 10000);
  EXPECT_EQ(elements[3].text(), "a");
  ASSERT_TRUE(elements[4].is_call());
  EXPECT_TRUE(elements[4].callable().is_global("some", "Thing"));
  EXPECT_EQ((*elements[4].arguments().elements().begin()).integer(), 1);
  EXPECT_EQ(elements[4].description(), "what some.Thing gives");
  EXPECT_TRUE(elements[5].is_none());
}

TEST(Zip, EntriesAreViewsOfTheArchive) {
  ZipArchive zip;
  zip.add("b", "second");
  zip.add("a", "");
  const std::string bytes = zip.finish();
  const std::vector<ZipEntry> entries = read_zip(bytes_of(bytes), "x");
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].name, "a");
  EXPECT_EQ(reinterpret_cast<const char*>(entries[1].bytes.data()), bytes.data() + bytes.find("second"));
  EXPECT_EQ(find_entry(entries, "b"), &entries[1]);
  EXPECT_EQ(find_entry(entries, "c"), nullptr);
}

}  // namespace
}  // namespace tstitch
