#include "tstitch/io/int8_tensor.h"

#include <cmath>
#include <map>

#include "tests/io/safetensors_support.h"
#include "tstitch/io/convert_checkpoint.h"

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
  EXPECT_EQ(to_float(parse(bytes).load("m.weight", {2, 3}, DType::bf16).data<bfloat16>()[1]), -32);
  EXPECT_TRUE(parse(bytes).tensors().at("m.weight_factor").companion);
  EXPECT_FALSE(load_int8(parse(bytes), "m.weight_scale", {2}).has_value());
}

// As the original code names the weights of its running average.
TEST(Int8Tensor, ItsNameNeedsNoDot) {
  const std::string bytes = file_of({{"model_ema.mweight", kValues}, {"model_ema.mweight_scale", kScale}});
  EXPECT_TRUE(load_int8(parse(bytes), "model_ema.mweight", {2, 3}).has_value());
}

// Several scales a row are none that a product of integers can have: such a weight is quantised anew.
TEST(Int8Tensor, HasOneScaleForAllOrForEachOutput) {
  const auto with = [](const std::string& shape, std::initializer_list<float> scales) {
    return file_of({{"m.weight", kValues}, {"m.weight_scale", {"F32", shape, floats(scales)}}});
  };
  const auto w = load_int8(parse(with("[]", {0.25f})), "m.weight", {2, 3});
  ASSERT_TRUE(w.has_value());
  EXPECT_EQ(w->scales.shape(), Shape({2}));
  EXPECT_EQ(w->scales.data<float>()[1], 0.25f);
  const std::string blocks = with("[2,3,1]", {1, 2, 3, 4, 5, 6});
  EXPECT_FALSE(load_int8(parse(blocks), "m.weight", {2, 3}).has_value());
  EXPECT_EQ(parse(blocks).load("m.weight", {2, 3}, DType::f32).data<float>()[2], 127 * 3);
}

TEST(Int8Tensor, WhatDoesNotFitIsRefused) {
  const auto refused = [](const std::map<std::string, Part>& parts, const Shape& shape, const char* code,
                          const std::string& part) {
    const std::string bytes = file_of(parts);
    expect_refused([&] { load_int8(parse(bytes), "m.weight", shape); }, code, part);
  };
  const std::string bare = file_of({{"m.weight", kValues}});
  EXPECT_FALSE(load_int8(parse(bare), "m.weight", {2, 3}).has_value());
  expect_refused(
      [&] {
        parse(bare).load("m.weight", {2, 3}, DType::f32);
      },
      "ST_DTYPE_UNSUPPORTED", "tensor \"m.weight\": type I8, expected F32");
  refused({{"m.weight", kValues}, {"m.weight_scale", kScale}}, {3, 2}, "MODEL_SHAPE",
          "shape [2, 3], expected [3, 2]");
  refused({{"m.weight", kValues}, {"m.weight_scale", {"F32", "[2]", floats({1, INFINITY})}}}, {2, 3},
          "MODEL_INT8", "tensor \"m.weight\": scale 1 is inf, expected a finite number");
  const auto with_factors = [&](const char* shape, std::initializer_list<float> factors) {
    return std::map<std::string, Part>{{"m.weight", kValues},
                                       {"m.weight_scale", kScale},
                                       {"m.weight_factor", {"F32", shape, floats(factors)}}};
  };
  refused(with_factors("[3]", {1, 0, 1}), {2, 3}, "MODEL_INT8",
          "tensor \"m.weight\": factor 1 is 0, expected a finite number above 0");
  refused(with_factors("[2]", {1, 1}), {2, 3}, "QUANT_SCALE",
          "\"m.weight_factor\": factors of type F32 and the shape [2], expected F32 and [3]");
  refused({{"m.weight", kValues},
           {"m.weight_scale", {"F32", "[]", floats({1})}},
           {"m.weight_factor", {"F32", "[3]", floats({1, 1, 1})}}},
          {2, 3}, "QUANT_SCALE", "factors of a weight that has not one scale for each row");
}

class Int8Files : public FolderTest {};

TEST_F(Int8Files, ScalesAndFactorsAreGoneWhereTheyAreMultipliedIn) {
  const std::string bytes = file_of({{"m.weight", kValues},
                                     {"m.weight_scale", kScale},
                                     {"m.weight_factor", {"F32", "[3]", floats({1, 0.5f, 2})}}});
  ASSERT_TRUE(convert_checkpoint(parse(bytes), path("out"), DType::f16, [] { return true; }));
  const TensorFile out = read_safetensors(path("out"));
  EXPECT_EQ(out.tensors().size(), 1u);
  EXPECT_EQ(out.load("m.weight", {2, 3}, DType::f32).data<float>()[1], -32);
}

// ComfyUI's files say of each module how it was made (its QUANTIZATION.md).
TEST(Int8Tensor, OfComfyUIIsReadAsItIs) {
  const std::string said = R"({"format":"int8_tensorwise","convrot":false})";
  const std::string bytes =
      file_of({{"m.weight", kValues},
               {"m.weight_scale", kScale},
               {"m.comfy_quant", {"U8", "[" + std::to_string(said.size()) + "]", said}}});
  EXPECT_TRUE(load_int8(parse(bytes), "m.weight", {2, 3}).has_value());
}

}  // namespace
}  // namespace tstitch
