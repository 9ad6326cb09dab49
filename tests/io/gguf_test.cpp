#include "tstitch/io/gguf.h"

#include <limits>

#include "tests/io/safetensors_support.h"
#include "tests/io/same_bits.h"
#include "tests/support/golden.h"
#include "tstitch/io/checkpoint.h"
#include "tstitch/io/convert_checkpoint.h"
#include "tstitch/io/convert_to_gguf.h"

namespace tstitch {
namespace {

std::string golden_file(const std::string& name) { return golden_path("gguf/" + name); }

class Gguf : public FolderTest {
 protected:
  std::string convert(const TensorFile& from, const std::string& type) const {
    EXPECT_TRUE(convert_to_gguf(from, path("out.gguf"), type, [] { return true; }));
    return path("out.gguf");
  }

  // One tensor.
  TensorFile file_of(const std::string& name, const Tensor& x) const {
    write_safetensors(path("in.safetensors"), {{name, x}}, {});
    return open_checkpoint(path("in.safetensors"));
  }
};

// The package gguf wrote and decoded them.
TEST_F(Gguf, EveryTypeIsDecodedBitForBit) {
  const TensorFile file = open_checkpoint(golden_file("types.gguf"));
  const TensorFile expected = open_checkpoint(golden_file("types.safetensors"));
  ASSERT_EQ(file.tensors().size(), 15u);
  ASSERT_EQ(expected.tensors().size(), file.tensors().size());
  for (const auto& [name, info] : file.tensors()) {
    SCOPED_TRACE(name);
    EXPECT_EQ(info.dtype_name, name == "conv" ? "Q4_K" : name);
    const Shape shape(expected.tensors().at(name).shape);
    const Tensor wanted = expected.load(name, shape, DType::f32);
    expect_same(file.load(name, shape, DType::f32), wanted);
    const Tensor narrow = file.load(name, shape, DType::bf16);
    for (int64_t i = 0; i < narrow.elements(); ++i)
      ASSERT_EQ(narrow.data<bfloat16>()[i].bits, to_bfloat16(wanted.data<float>()[i]).bits) << i;
  }
  EXPECT_EQ(file.metadata(),
            (TensorFile::Metadata{{"general.architecture", "sd1"}, {"modelspec.title", "all types"}}));
}

// Of it too, by ComfyUI-GGUF's rules and stable-diffusion.cpp's.
TEST_F(Gguf, IsWrittenByteForByte) {
  for (const auto& [name, type, written] : {std::tuple{"network", "Q8_0", "network_q8_0"},
                                            {"network", "Q4_0", "network_q4_0"},
                                            {"whole", "Q8_0", "whole_q8_0"}}) {
    SCOPED_TRACE(written);
    const TensorFile from = open_checkpoint(golden_file(std::string(name) + ".safetensors"));
    EXPECT_TRUE(read_whole(convert(from, type)) == read_whole(golden_file(std::string(written) + ".gguf")));
  }
}

TEST_F(Gguf, ConvertedAgainItStaysAsItIs) {
  const std::string golden = golden_file("network_q4_0.gguf");
  EXPECT_TRUE(read_whole(convert(open_checkpoint(golden), "Q4_0")) == read_whole(golden));
}

TEST_F(Gguf, BecomesSafetensorsOfWhatItStandsFor) {
  const TensorFile file = open_checkpoint(golden_file("types.gguf"));
  expect_refused([&] { convert_checkpoint(file, path("out"), std::nullopt, [] { return true; }); },
                 "ST_DTYPE_UNSUPPORTED",
                 "\"Q2_K\": type Q2_K, which safetensors files do not have: it must become f32, bf16 or f16");
  ASSERT_TRUE(convert_checkpoint(file, path("out"), DType::f32, [] { return true; }));
  const TensorFile written = read_safetensors(path("out"));
  EXPECT_EQ(written.metadata().at("general.architecture"), "sd1");
  for (const auto& [name, info] : file.tensors()) {
    EXPECT_EQ(written.tensors().at(name).dtype_name, "F32");
    expect_same(written.load(name, Shape(info.shape), DType::f32),
                file.load(name, Shape(info.shape), DType::f32));
  }
}

TEST_F(Gguf, KeepsWhatHasNoBlocks) {
  const std::string bytes =
      container("{\"__metadata__\":{\"config\":\"{}\"}," + entry("ids", "I64", "[2]", 0, 16) + "," +
                    entry("scalar", "F32", "[]", 16, 20) + "," + entry("v_pred", "F32", "[0]", 20, 20) + "}",
                raw(int64_t{5}) + raw(int64_t{-1}) + raw(1.5f));
  const TensorFile file = open_checkpoint(convert(parse(bytes), "Q8_0"));
  EXPECT_EQ(file.metadata(), (TensorFile::Metadata{{"config", "{}"}}));
  EXPECT_EQ(file.tensors().at("ids").dtype_name, "I64");
  file.read("ids", [](std::span<const std::byte> ids) {
    EXPECT_EQ(std::memcmp(ids.data(), (raw(int64_t{5}) + raw(int64_t{-1})).data(), 16), 0);
  });
  EXPECT_EQ(*file.load("scalar", {1}, DType::f32).data<float>(), 1.5f);
  EXPECT_TRUE(file.tensors().contains("v_pred"));  // its name is all it says
}

TEST_F(Gguf, RefusesToWriteWhatTheFormatDoesNotHold) {
  const auto refused = [&](const std::string& name, const Tensor& x, const std::string& type,
                           const std::string& code, const std::string& part) {
    const TensorFile file = file_of(name, x);
    expect_refused([&] { convert(file, type); }, code, part);
    EXPECT_FALSE(std::filesystem::exists(path("out.gguf")));
  };
  Tensor large({64, 32}, DType::f32);
  std::fill_n(large.data<float>(), large.elements(), 1.0f);
  refused(std::string(128, 'n'), large, "Q8_0", "GGUF_NAME", "a name of 128 bytes, of which ggml reads 127");
  refused("five", large.reshape({2, 2, 2, 8, 32}), "Q8_0", "GGUF_SHAPE",
          "\"five\" has the shape [2, 2, 2, 8, 32]");
  large.data<float>()[40] = 1e9f;
  refused("huge", large, "Q8_0", "MODEL_NONFINITE", "\"huge\": 1 of 64 blocks are too large for Q8_0");
  refused("huge", large, "Q4_0", "MODEL_NONFINITE", "\"huge\": 1 of 64 blocks are too large for Q4_0");
  large.data<float>()[40] = std::numeric_limits<float>::infinity();
  refused("infinite", large, "Q8_0", "MODEL_NONFINITE", "\"infinite\": 1 of 2048 elements are NaN, infinite");
  const std::string bytes = container("{" + entry("mask", "BOOL", "[1]", 0, 1) + "}", 1);
  expect_refused([&] { convert(parse(bytes), "Q8_0"); }, "ST_DTYPE_UNSUPPORTED",
                 "\"mask\": type BOOL, which GGUF files do not have");
}

// Of magnitudes whose inverse has no f32.
TEST_F(Gguf, DenormalBlocksAreZero) {
  for (const char* type : {"Q8_0", "Q4_0"}) {
    const BlockType& blocks = *find_block_type(type);
    std::vector<float> x(32, 1e-42f);
    std::vector<std::byte> encoded(static_cast<size_t>(blocks.bytes));
    EXPECT_EQ(blocks.encode(x.data(), 1, encoded.data()), 0);
    blocks.decode(encoded.data(), 1, x.data());
    for (const float y : x) EXPECT_EQ(y, 0);
  }
}

TEST_F(Gguf, SaysWhatIsWrong) {
  const auto refused = [&](const char* name, const char* code, const std::string& part) {
    const std::string file = std::string(TSTITCH_SOURCE_DIR) + "/tests/hostile/gguf/" + name + ".gguf";
    expect_refused([&] { open_checkpoint(file); }, code, part);
  };
  refused("version_1", "GGUF_VERSION", "version 1, expected 2 or 3");
  refused("big_endian", "GGUF_VERSION", "a big-endian file");
  refused("type_iq4_xs", "GGUF_TYPE", "\"x\": type IQ4_XS, expected F32, F16");
  refused("type_99", "GGUF_TYPE", "\"x\": type 99, expected");
  refused("data_cut", "GGUF_TRUNCATED",
          "\"x\": ends at byte 32 of the data, the file has 28: an incomplete download?");
  refused("overlap", "GGUF_OVERLAP",
          "\"y\": begins at byte 32 of the data, the tensor before it ends at byte 64");
  refused("orig_shape_other", "GGUF_ORIG_SHAPE", "\"x\": original shape [2, 3], stored as [4]");
  expect_refused([] { open_checkpoint(golden_file("types.gguf"), WeightChoice::ema); }, "PT_NO_WEIGHTS");
}

}  // namespace
}  // namespace tstitch
