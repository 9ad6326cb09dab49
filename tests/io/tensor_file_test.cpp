#include "tstitch/io/tensor_file.h"

#include <limits>

#include "tests/io/safetensors_support.h"

namespace tstitch {
namespace {

std::string file_of(const std::vector<float>& values) {
  std::string data;
  for (const float x : values) data += raw(x);
  return container(
      "{" +
          entry("x", "F32", "[" + std::to_string(values.size()) + "]", 0, static_cast<int64_t>(data.size())) +
          "}",
      data);
}

TEST(TensorFile, ChecksTheShape) {
  const std::string bytes = small_file();
  expect_refused([&] { parse(bytes).load("w", {1}, DType::f32); }, "MODEL_SHAPE",
                 "\"w\": shape [1, 1], expected [1]");
  expect_refused([&] { parse(bytes).load("s", {1}, DType::f32); }, "MODEL_SHAPE", "shape [], expected [1]");
}

TEST(TensorFile, NamesWhatIsSimilar) {
  std::string header = "{";
  for (const char* name :
       {"model.blocks.0.attn.qkv.weight", "model.blocks.0.attn.qkv.bias", "model.pos_embed", "zzz"})
    header += entry(name, "F32", "[0]", 0, 0) + ",";
  header.back() = '}';
  const std::string bytes = container(header);
  expect_refused([&] { parse(bytes).load("blocks.0.attn.qkv.weight", {1}, DType::f32); }, "MODEL_MISSING",
                 "similar of 4 names: \"model.blocks.0.attn.qkv.weight\"");
  expect_refused([&] { parse(bytes).load("pos_embed", {1}, DType::f32); }, "MODEL_MISSING",
                 "names: \"model.pos_embed\"");
}

TEST(TensorFile, ST28_NonFiniteElementsAreCounted) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN(),
                  kInf = std::numeric_limits<float>::infinity();
  for (const DType dtype : {DType::f32, DType::bf16}) {
    expect_refused(
        [&] {
          parse(file_of({1, kNan, kInf, 2, -kInf})).load("x", {5}, dtype);
        },
        "MODEL_NONFINITE", "tensor \"x\": 3 of 5 elements");
    EXPECT_NO_THROW(parse(file_of({1e-45f, 3e38f, -0.0f})).load("x", {3}, dtype));
  }
  // Finite in the file, not in bf16.
  const std::string large = file_of({3.4e38f});
  EXPECT_NO_THROW(parse(large).load("x", {1}, DType::f32));
  expect_refused([&] { parse(large).load("x", {1}, DType::bf16); }, "MODEL_NONFINITE", "too large for bf16");
}

TEST(TensorFile, OutlivesTheReader) {
  const TensorFile copy = [] {
    const TensorFile file =
        read_safetensors(std::string(TSTITCH_SOURCE_DIR) + "/assets/fashion-s.safetensors");
    return file;
  }();
  const auto& [name, info] = *copy.tensors().begin();
  EXPECT_NO_THROW(copy.load(name, Shape(info.shape), DType::bf16));
}

}  // namespace
}  // namespace tstitch
