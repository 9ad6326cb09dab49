#include "tstitch/io/int8_tensor.h"

#include <map>

#include "tests/io/safetensors_support.h"

namespace tstitch {
namespace {

struct Part {
  std::string dtype, shape, data;
};

// A file of these tensors.
std::string file_of(const std::map<std::string, Part>& parts) {
  std::string header, data;
  for (const auto& [name, part] : parts) {
    const auto begin = static_cast<int64_t>(data.size());
    data += part.data;
    header += (header.empty() ? "" : ",") +
              entry(name, part.dtype, part.shape, begin, static_cast<int64_t>(data.size()));
  }
  return container("{" + header + "}", data);
}

std::string floats(std::initializer_list<float> values) {
  std::string data;
  for (const float x : values) data += raw(x);
  return data;
}

const Part kValues = {"I8", "[2,3]", std::string("\x01\x80\x7f\xff\x00\x02", 6)};  // 1 -128 127 | -1 0 2
const Part kScale = {"F32", "[2]", floats({0.5f, 2})};

TEST(Int8Tensor, IsReadAsItIsAndAsWhatItStandsFor) {
  for (const char* shape : {"[2]", "[2,1]"}) {
    const std::string bytes =
        file_of({{"m.weight", kValues}, {"m.weight_scale", {"F32", shape, kScale.data}}});
    const auto w = load_int8(parse(bytes), "m.weight", {2, 3});
    ASSERT_TRUE(w.has_value());
    EXPECT_EQ(w->values.data<int8_t>()[1], -128);
    EXPECT_EQ(w->scales.shape(), Shape({2}));
    EXPECT_FALSE(w->factors);
    const Tensor dense = parse(bytes).load("m.weight", {2, 3}, DType::f32);
    const std::vector<float> expected = {0.5, -64, 63.5, -2, 0, 4};
    for (size_t i = 0; i < 6; ++i) EXPECT_EQ(dense.data<float>()[i], expected[i]);
  }
  const std::string bytes = file_of({{"m.weight", kValues},
                                     {"m.weight_scale", kScale},
                                     {"m.weight_factor", {"F32", "[3]", floats({1, 0.5f, 2})}}});
  const Tensor dense = parse(bytes).load("m.weight", {2, 3}, DType::f32);
  EXPECT_EQ(dense.data<float>()[1], -32);
  EXPECT_EQ(dense.data<float>()[5], 8);
  EXPECT_FALSE(load_int8(parse(bytes), "m.weight_scale", {2}).has_value());
}

TEST(Int8Tensor, WhatDoesNotFitIsRefused) {
  const auto refused = [](const std::map<std::string, Part>& parts, const Shape& shape, const char* code,
                          const std::string& part) {
    const std::string bytes = file_of(parts);
    expect_refused([&] { parse(bytes).load("m.weight", shape, DType::f32); }, code, part);
  };
  refused({{"m.weight", kValues}}, {2, 3}, "MODEL_INT8",
          "tensor \"m.weight\": type I8 without scales in \"m.weight_scale\"");
  refused({{"m.weight", kValues}, {"m.weight_scale", kScale}}, {3, 2}, "MODEL_SHAPE",
          "shape [2, 3], expected [3, 2]");
  refused({{"m.weight", kValues}, {"m.weight_scale", {"F32", "[]", floats({1})}}}, {2, 3}, "MODEL_SHAPE",
          "\"m.weight_scale\": shape [], expected [2]");
  refused({{"m.weight", kValues}, {"m.weight_scale", {"F32", "[2]", floats({1, -1})}}}, {2, 3}, "MODEL_INT8",
          "tensor \"m.weight_scale\": element 1 is -1, expected a number above 0");
  refused({{"m.weight", kValues},
           {"m.weight_scale", kScale},
           {"m.weight_factor", {"F32", "[3]", floats({1, 0, 1})}}},
          {2, 3}, "MODEL_INT8", "tensor \"m.weight_factor\": element 1 is 0, expected a number above 0");
}

// ComfyUI's files say of each module how it was made (its QUANTIZATION.md).
TEST(Int8Tensor, OfComfyUIPlainScalesAreReadAndTurnedWeightsRefused) {
  const auto with = [](const std::string& said) {
    return file_of({{"m.weight", kValues},
                    {"m.weight_scale", kScale},
                    {"m.comfy_quant", {"U8", "[" + std::to_string(said.size()) + "]", said}}});
  };
  EXPECT_TRUE(load_int8(parse(with(R"({"format":"int8_tensorwise"})")), "m.weight", {2, 3}).has_value());
  EXPECT_TRUE(load_int8(parse(with(R"({"format":"int8_tensorwise","convrot":false})")), "m.weight", {2, 3}));
  for (const std::string said :
       {R"({"format":"int8_tensorwise","convrot":true})", R"({"format":"nvfp4"})", "[]"})
    expect_refused(
        [&, bytes = with(said)] {
          load_int8(parse(bytes), "m.weight", {2, 3});
        },
        "MODEL_INT8", "tensor \"m.weight\": its form is ");
}

}  // namespace
}  // namespace tstitch
