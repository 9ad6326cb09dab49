// Safetensors of 8 bits, with scales and without.
#include "tests/io/safetensors_support.h"
#include "tests/io/same_bits.h"
#include "tests/support/golden.h"
#include "tstitch/io/checkpoint.h"
#include "tstitch/io/convert_checkpoint.h"
#include "tstitch/io/sharded_checkpoint.h"

namespace tstitch {
namespace {

class EightBits : public FolderTest {
 protected:
  static TensorFile golden_file() { return open_checkpoint(golden_path("gguf/fp8.safetensors")); }
};

// What PyTorch reads the same bytes as.
TEST_F(EightBits, EveryCodeOfEightBitsIsExact) {
  const TensorFile file = golden_file();
  for (const auto& [name, type] : {std::pair{"e4m3.codes", "F8_E4M3"}, {"e5m2.codes", "F8_E5M2"}}) {
    ASSERT_EQ(file.tensors().at(name).dtype_name, type);
    Tensor decoded({16, 16}, DType::f32), expected({16, 16}, DType::f32);
    file.read(name, [&](std::span<const std::byte> bytes) {
      find_block_type(type)->decode(bytes.data(), 256, decoded.data<float>());
    });
    file.read(std::string(name) + ".expected", [&](std::span<const std::byte> bytes) {
      std::memcpy(expected.bytes(), bytes.data(), bytes.size());
    });
    expect_same(decoded, expected);
    expect_refused([&, &name = name] { file.load(name, {16, 16}, DType::f32); }, "MODEL_NONFINITE");
  }
}

TEST_F(EightBits, ScalesAreMultipliedIn) {
  const TensorFile file = golden_file();
  const char* modules[] = {"one", "vector", "rows", "column", "blocks", "halves", "bytes"};
  for (const std::string module : modules) {
    SCOPED_TRACE(module);
    const Tensor expected = file.load(module + ".weight.expected", {8, 12}, DType::f32);
    expect_same(file.load(module + ".weight", {8, 12}, DType::f32), expected);
    const Tensor narrow = file.load(module + ".weight", {8, 12}, DType::bf16);
    for (int64_t i = 0; i < narrow.elements(); ++i)
      ASSERT_EQ(narrow.data<bfloat16>()[i].bits, to_bfloat16(expected.data<float>()[i]).bits) << i;
  }
}

TEST_F(EightBits, ScalesAreGoneWhereTheyAreMultipliedIn) {
  std::string bytes = "\x38\x40\x30\x3c";  // 1, 2, 0.5, 1.5
  const std::string file = container(
      "{\"__metadata__\":{\"_quantization_metadata\":\"{\\\"layers\\\":{\\\"m\\\":{\\\"format\\\":\\\"float8_"
      "e4m3fn\\\"}}}\"}," +
          entry("m.weight", "F8_E4M3", "[2,2]", 0, 4) + "," + entry("m.weight_scale", "F32", "[2,1]", 4, 12) +
          "," + entry("scaled_fp8", "F8_E4M3", "[2]", 12, 14) + "," +
          entry("m.input_scale", "F32", "[]", 14, 18) + "}",
      bytes + raw(2.0f) + raw(-1.0f) + "\x01\x01" + raw(1.0f));
  ASSERT_TRUE(convert_checkpoint(parse(file), path("out"), DType::f32, [] { return true; }));
  const TensorFile out = read_safetensors(path("out"));
  EXPECT_EQ(out.tensors().size(), 1u);
  EXPECT_TRUE(out.metadata().empty());
  const Tensor x = out.load("m.weight", {2, 2}, DType::f32);
  EXPECT_EQ(std::vector(x.data<float>(), x.data<float>() + 4), (std::vector<float>{2, 4, -0.5f, -1.5f}));

  ASSERT_TRUE(convert_checkpoint(parse(file), path("kept"), std::nullopt, [] { return true; }));
  const TensorFile kept = read_safetensors(path("kept"));
  EXPECT_EQ(kept.tensors().size(), 4u);
  EXPECT_EQ(kept.load("m.weight", {2, 2}, DType::f32).data<float>()[2], -0.5f);
}

TEST_F(EightBits, ScalesMayLieInAnotherShard) {
  const std::string said =
      "{\"__metadata__\":{\"_quantization_metadata\":\"{\\\"layers\\\":{\\\"m\\\":{\\\"format\\\":\\\"float8_"
      "e4m3fn\\\"}}}\"},";
  write("a.safetensors",
        container("{" + entry("m.weight_scale", "F32", "[2]", 0, 8) + "}", raw(2.0f) + raw(-1.0f)));
  write("b.safetensors",
        container(said + entry("m.weight", "F8_E4M3", "[2,2]", 0, 4) + "}", "\x38\x40\x30\x3c"));
  const auto index = [&](const char* scale) {
    write("x.index.json", concat("{\"weight_map\":{\"m.weight\":\"b.safetensors\"", scale, "}}"));
    return read_sharded_checkpoint(path("x.index.json"));
  };
  const Tensor x = index(",\"m.weight_scale\":\"a.safetensors\"").load("m.weight", {2, 2}, DType::f32);
  EXPECT_EQ(std::vector(x.data<float>(), x.data<float>() + 4), (std::vector<float>{2, 4, -0.5f, -1.5f}));
  expect_refused([&] { index(""); }, "QUANT_SCALE", "\"m\" is said to be float8_e4m3fn, but no scale");
}

TEST_F(EightBits, SaysWhatIsWrongWithScales) {
  const auto refused = [&](const char* name, const char* code, const std::string& part) {
    const std::string file =
        std::string(TSTITCH_SOURCE_DIR) + "/tests/hostile/safetensors/" + name + ".safetensors";
    expect_refused([&] { open_checkpoint(file); }, code, part);
  };
  refused("scale_of_nothing", "QUANT_SCALE", "\"m.scale_weight\": a scale, but there is no \"m.weight\"");
  refused("scale_of_f16", "QUANT_SCALE", "a scale of a weight of type F16, expected F8_E4M3, F8_E5M2 or I8");
  refused("scale_of_columns", "QUANT_SCALE", "a scale of the shape [1, 2] for a weight of [2, 2]");
  refused("scale_unknown", "QUANT_FORMAT", "\"m.weight_scale_2\": beside a weight of type F8_E4M3");
  refused("format_nvfp4", "QUANT_FORMAT", "\"m\" is quantised as \"nvfp4\", expected float8_e4m3fn");
  refused("format_rotated", "QUANT_FORMAT", "\"m\" is quantised after a rotation (convrot)");
  refused("format_other_type", "QUANT_FORMAT", "\"m\" is said to be float8_e5m2, but its type is F8_E4M3");
  refused("format_without_scale", "QUANT_SCALE", "\"m\" is said to be float8_e4m3fn, but no scale");
}

}  // namespace
}  // namespace tstitch
