// Each form of change merged with one weight, against LyCORIS and PEFT (tools/goldens/make_lora_goldens.py).
#include "tstitch/zoo/lora_forms.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/support/expect_error.h"
#include "tests/support/golden.h"
#include "tstitch/io/json.h"
#include "tstitch/io/safetensors.h"
#include "tstitch/nn/random_weights.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr uint64_t kSeed = 7;

class LoraForms : public ::testing::Test {
 protected:
  void TearDown() override { fs::remove(path_); }

  static Shape shape_of(const json& extents) { return Shape(extents.get<std::vector<int64_t>>()); }

  LoraFile file(const std::map<std::string, Tensor>& tensors) const {
    write_safetensors(path_, tensors, {});
    return LoraFile(path_);
  }

  // The file of a case, all of one module "m".
  LoraFile file_of(const std::string& name, const json& golden) const {
    std::map<std::string, Tensor> tensors;
    for (const auto& [suffix, extents] : golden["tensors"].items()) {
      Tensor tensor = random_uniform(name + "/" + suffix, shape_of(extents), 0.8, kSeed);
      if (suffix.find("dora") != suffix.npos || suffix.find("magnitude") != suffix.npos)
        for (int64_t i = 0; i < tensor.elements(); ++i) tensor.data<float>()[i] += 1;
      tensors["m." + suffix] = tensor;
    }
    Tensor& alpha = tensors["m.alpha"];
    alpha = Tensor({1}, DType::f32);
    *alpha.data<float>() = golden["alpha"].get<float>();
    return file(tensors);
  }

  static Tensor tensor_of(const json& numbers) {
    const auto values = numbers.get<std::vector<float>>();
    return make_tensor<float>({std::ssize(values)}, values);
  }

  std::string path_ = (fs::temp_directory_path() / ("tstitch_forms_" + std::to_string(getpid()))).string();
  std::unique_ptr<Backend> backend_ = make_backend({.dtype = "f32", .threads = 1});
};

TEST_F(LoraForms, AgreeWithLycorisAndPeft) {
  const json goldens = parse_json_file(golden_path("lora/forms.json"));
  for (const auto& [name, golden] : goldens.items()) {
    SCOPED_TRACE(name);
    const LoraFile lora = file_of(name, golden);
    const LoraModule& module = lora.modules().at(0);
    const Shape shape = shape_of(golden["weight"]);
    const auto strength = golden["strength"].get<double>();
    Tensor weight = random_uniform(name + "/weight", shape, 1, kSeed),
           bias = random_uniform(name + "/bias", {shape[0]}, 1, kSeed);
    ASSERT_EQ(lora_obstacle(lora, module, LoraTarget::weight, shape), "");
    add_lora(*backend_, lora, module, LoraTarget::weight, strength, weight);
    EXPECT_LE(relative_error(weight, tensor_of(golden["merged"][0])), 1e-6);
    if (!changes(module, LoraTarget::bias)) continue;
    ASSERT_EQ(lora_obstacle(lora, module, LoraTarget::bias, bias.shape()), "");
    add_lora(*backend_, lora, module, LoraTarget::bias, strength, bias);
    EXPECT_LE(relative_error(bias, tensor_of(golden["merged"][1])), 1e-6);
  }
}

// Of weights that are large enough to be shared between threads.
TEST_F(LoraForms, ThreadsChangeNoBit) {
  const auto random = [](const char* name, const Shape& shape) {
    return random_uniform(name, shape, 1, kSeed);
  };
  const std::map<std::string, Tensor> forms[] = {
      {{"m.lora_up.weight", random("u", {320, 16})}, {"m.lora_down.weight", random("d", {16, 192, 3, 3})}},
      {{"m.lora_up.weight", random("u", {320, 16})},
       {"m.lora_down.weight", random("d", {16, 192, 3, 3})},
       {"m.dora_scale", random("s", {320, 1})}},
      {{"m.lora_up.weight", random("u", {320, 16, 1, 1})},
       {"m.lora_mid.weight", random("m", {16, 16, 3, 3})},
       {"m.lora_down.weight", random("d", {16, 192, 1, 1})}},
      {{"m.hada_w1_a", random("a", {320, 8})},
       {"m.hada_w1_b", random("b", {8, 1728})},
       {"m.hada_w2_a", random("c", {320, 8})},
       {"m.hada_w2_b", random("e", {8, 1728})}},
      {{"m.lokr_w1", random("a", {16, 12})}, {"m.lokr_w2", random("b", {20, 16, 3, 3})}}};
  for (const auto& tensors : forms) {
    const LoraFile lora = file(tensors);
    std::vector<Tensor> merged;
    for (const int threads : {1, 2, 5}) {
      merged.push_back(random_uniform("w", {320, 192, 3, 3}, 1, kSeed));
      add_lora(*make_backend({.dtype = "f32", .threads = threads}), lora, lora.modules()[0],
               LoraTarget::weight, 0.7, merged.back());
    }
    for (const Tensor& other : merged)
      EXPECT_EQ(std::memcmp(other.bytes(), merged[0].bytes(), static_cast<size_t>(other.elements()) * 4), 0)
          << tensors.rbegin()->first;
  }
}

// A weight with an extent more or less is none of any form's.
TEST_F(LoraForms, RefuseOtherShapes) {
  const json goldens = parse_json_file(golden_path("lora/forms.json"));
  for (const auto& [name, golden] : goldens.items()) {
    const LoraFile lora = file_of(name, golden);
    const Shape shape = shape_of(golden["weight"]);
    for (int i = 0; i < shape.rank(); ++i)
      for (const int64_t more : {1, -1})
        EXPECT_NE(lora_obstacle(lora, lora.modules()[0], LoraTarget::weight, shape.with(i, shape[i] + more)),
                  "")
            << name << ", extent " << i;
  }
}

// Each row of a rescaled weight, or each of its inputs, is as long as its magnitude.
TEST_F(LoraForms, MagnitudesAreNorms) {
  for (const auto& [magnitude, of_rows] :
       {std::pair{Shape({4, 1}), true}, {Shape({1, 4}), false}, {Shape({4}), true}}) {
    std::map<std::string, Tensor> tensors = {{"m.lora_A", random_uniform("a", {2, 4}, 1, kSeed)},
                                             {"m.lora_B", random_uniform("b", {4, 2}, 1, kSeed)},
                                             {"m.dora_scale", Tensor(magnitude, DType::f32)}};
    for (int64_t i = 0; i < 4; ++i) tensors["m.dora_scale"].data<float>()[i] = static_cast<float>(i + 1);
    const LoraFile lora = file(tensors);
    Tensor weight = random_uniform("w", {4, 4}, 1, kSeed);
    add_lora(*backend_, lora, lora.modules()[0], LoraTarget::weight, 1, weight);
    for (int64_t i = 0; i < 4; ++i) {
      double squares = 0;
      for (int64_t j = 0; j < 4; ++j)
        squares += std::pow(weight.data<float>()[of_rows ? i * 4 + j : j * 4 + i], 2);
      EXPECT_NEAR(std::sqrt(squares), static_cast<double>(i + 1), 1e-5);
    }
  }
}

TEST_F(LoraForms, AFactorOfAHugeRankIsRefusedByItsShape) {
  const LoraFile lora = file({{"m.lora_down.weight", random_uniform("a", {5000, 8}, 1, kSeed)},
                              {"m.lora_up.weight", random_uniform("b", {8, 5000}, 1, kSeed)}});
  EXPECT_EQ(lora_obstacle(lora, lora.modules()[0], LoraTarget::weight, {8, 8}),
            "tensor \"m.lora_up.weight\" is a matrix of 8 x 5000, expected 8 x 1 ... 2048");
}

TEST_F(LoraForms, WhatIsNoFormIsRefused) {
  const Tensor x = random_uniform("x", {2, 2}, 1, kSeed);
  for (const std::map<std::string, Tensor>& tensors :
       {std::map<std::string, Tensor>{{"m.lora_up.weight", x}},
        {{"m.lora_up.weight", x}, {"m.lora_down.weight", x}, {"m.hada_w1_a", x}},
        {{"m.lokr_w1", x}},
        {{"m.lokr_w1", x}, {"m.lokr_t2", x}}}) {
    const LoraFile lora = file(tensors);
    testing::expect_error(ErrorKind::input, "[LORA_FORM] \"m\" has the tensors", [&] {
      lora_obstacle(lora, lora.modules()[0], LoraTarget::weight, {2, 2});
    });
  }
}

}  // namespace
}  // namespace tstitch
