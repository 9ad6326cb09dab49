#include "tstitch/io/convert_checkpoint.h"

#include "tests/io/safetensors_support.h"

namespace tstitch {
namespace {

class ConvertCheckpoint : public FolderTest {
 protected:
  TensorFile convert(const std::string& bytes, std::optional<DType> dtype) const {
    source_ = bytes;
    EXPECT_TRUE(convert_checkpoint(parse(source_), path("out"), dtype, [] { return true; }));
    return read_safetensors(path("out"));
  }

  mutable std::string source_;  // outlives what was parsed from it
};

// One tensor of several types, and metadata.
std::string mixed_file(float f32 = 1.5f) {
  const std::string data =
      raw(f32) + raw(-3.0) + raw(uint16_t{0x3f80}) + raw(int64_t{7}) + std::string("\1\0\2", 3);
  return container("{\"__metadata__\":{\"config\":\"{}\",\"format\":\"pt\"}," +
                       entry("f", "F32", "[1]", 0, 4) + "," + entry("d", "F64", "[]", 4, 12) + "," +
                       entry("b", "BF16", "[1,1]", 12, 14) + "," + entry("step", "I64", "[]", 14, 22) + "," +
                       entry("mask", "BOOL", "[2]", 22, 24) + "," + entry("small", "I8", "[1]", 24, 25) + "}",
                   data);
}

std::string bytes_in(const TensorFile& file, const std::string& name) {
  std::string text;
  file.read(name, [&](std::span<const std::byte> bytes) {
    text.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  });
  return text;
}

TEST_F(ConvertCheckpoint, KeepsEverythingWhenNotAskedForAType) {
  const TensorFile out = convert(mixed_file(), std::nullopt);
  const TensorFile in = parse(source_);
  EXPECT_EQ(out.metadata(), in.metadata());
  ASSERT_EQ(out.tensors().size(), 6u);
  for (const auto& [name, info] : in.tensors()) {
    EXPECT_EQ(out.tensors().at(name).dtype_name, info.dtype_name) << name;
    EXPECT_EQ(out.tensors().at(name).shape, info.shape) << name;
    EXPECT_EQ(bytes_in(out, name), bytes_in(in, name)) << name;
  }
  EXPECT_EQ(files(), 1u);
}

TEST_F(ConvertCheckpoint, ConvertsFloatsAndKeepsTheRest) {
  const struct {
    DType dtype;
    std::string name, f, d, b;
  } cases[] = {{DType::f32, "F32", raw(1.5f), raw(-3.0f), raw(1.0f)},
               {DType::bf16, "BF16", raw(uint16_t{0x3fc0}), raw(uint16_t{0xc040}), raw(uint16_t{0x3f80})},
               {DType::f16, "F16", raw(uint16_t{0x3e00}), raw(uint16_t{0xc200}), raw(uint16_t{0x3c00})}};
  for (const auto& c : cases) {
    const TensorFile out = convert(mixed_file(), c.dtype);
    for (const auto& [tensor, bytes] : {std::pair("f", c.f), {"d", c.d}, {"b", c.b}}) {
      EXPECT_EQ(out.tensors().at(tensor).dtype_name, c.name);
      EXPECT_EQ(bytes_in(out, tensor), bytes) << tensor << " " << c.name;
    }
    EXPECT_EQ(bytes_in(out, "step"), raw(int64_t{7}));
    EXPECT_EQ(out.tensors().at("mask").dtype_name, "BOOL");
    EXPECT_EQ(bytes_in(out, "small"), "\2");
    EXPECT_EQ(out.metadata().at("config"), "{}");
  }
}

TEST_F(ConvertCheckpoint, WhatDoesNotFitIsRefusedByName) {
  const auto refused = [&](const std::string& bytes, DType dtype, const std::string& code,
                           const std::string& part) {
    expect_refused([&] { convert(bytes, dtype); }, code, part);
    EXPECT_EQ(files(), 0u);  // nothing, not half of it
  };
  refused(mixed_file(65520), DType::f16, "MODEL_NONFINITE",
          "\"f\": 1 of 1 elements are NaN, infinite or too large for f16");
  refused(container("{" + entry("x", "F8_E8M0", "[1]", 0, 1) + "}", 1), DType::f32, "ST_DTYPE_UNSUPPORTED",
          "\"x\": type F8_E8M0 does not become f32");
  EXPECT_EQ(convert(mixed_file(65519), DType::f16).tensors().size(), 6u);
  EXPECT_EQ(
      convert(container("{" + entry("x", "F8_E8M0", "[1]", 0, 1) + "}", 1), std::nullopt).tensors().size(),
      1u);
}

TEST_F(ConvertCheckpoint, LeavesNothingWhenItIsEnded) {
  int asked = 0;
  const std::string bytes = mixed_file();
  EXPECT_FALSE(convert_checkpoint(parse(bytes), path("out"), std::nullopt, [&] { return ++asked < 3; }));
  EXPECT_EQ(asked, 3);
  EXPECT_EQ(files(), 0u);
}

}  // namespace
}  // namespace tstitch
