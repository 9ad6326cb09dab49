// Against PyTorch and transformers (tools/goldens/make_tower_goldens.py).
#include "tstitch/zoo/two_towers.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/support/expect_error.h"
#include "tests/support/golden.h"
#include "tstitch/io/checkpoint.h"
#include "tstitch/io/json.h"
#include "tstitch/io/npz_reader.h"
#include "tstitch/io/safetensors.h"
#include "tstitch/zoo/feature_file.h"

namespace tstitch {
namespace {

const std::string kFile = golden_path("eval/towers.safetensors");

Tensor expected(const nlohmann::json& answers, const char* name, int64_t rows) {
  const std::vector<float> values = answers.at(name);
  return make_tensor<float>({rows, std::ssize(values) / rows}, values);
}

TEST(TwoTowers, AreThoseOfPyTorch) {
  const nlohmann::json answers = parse_json_file(golden_path("eval/towers.json"));
  const std::vector<std::string> prompts = answers.at("prompts");
  NpzArray array = NpzFile(golden_path("eval/towers.npz")).open("arr_0");
  const int64_t count = array.left();
  const Tensor pictures = array.next(count);
  for (const std::string device : {"reference", "cpu"}) {
    const auto backend = make_backend({.device = device, .dtype = "f32", .threads = 2});
    const auto network = load_feature_extractor(*backend, kFile);
    ASSERT_TRUE(network->reads_texts());
    EXPECT_EQ(network->classes(), 0);
    const PictureFeatures found = (*network)(pictures);
    EXPECT_FALSE(found.logits);
    EXPECT_LT(relative_error(found.pooled, expected(answers, "pooled", count)), 1e-5) << device;
    EXPECT_LT(relative_error(found.spatial, expected(answers, "spatial", count)), 1e-5) << device;
    EXPECT_LT(relative_error(found.embedding, expected(answers, "embedding", count)), 1e-5) << device;
    EXPECT_LT(relative_error(network->embed_texts(prompts), expected(answers, "texts", std::ssize(prompts))),
              1e-5)
        << device;
  }
}

TEST(TwoTowers, LeaveOutTheWeightsOfWords) {
  const auto backend = make_backend({.dtype = "f32"});
  const Tensor texts = load_feature_extractor(*backend, kFile)->embed_texts({"red heart", "(red:1.4) heart"});
  EXPECT_LT(relative_error(texts.slice(0, 1), texts.slice(1, 2)), 1e-6);
}

// A file whose configuration is changed so.
template <class Change>
void expect_refused(const std::string& message, const Change& change) {
  const TensorFile file = open_checkpoint(kFile);
  std::map<std::string, Tensor> tensors;
  for (const auto& [name, info] : file.tensors())
    tensors[name] = file.load(name, Shape(info.shape), DType::f32);
  nlohmann::json config = parse_json(file.metadata().at("config"), "config");
  change(config);
  const std::string path =
      ::testing::TempDir() + "/tstitch_towers_" + std::to_string(getpid()) + ".safetensors";
  write_safetensors(path, tensors, {{"config", config.dump()}});
  const auto backend = make_backend({.dtype = "f32"});
  testing::expect_error(ErrorKind::input, message, [&] { load_feature_extractor(*backend, path); });
  std::filesystem::remove(path);
}

TEST(TwoTowers, WhatDoesNotFitIsRefused) {
  expect_refused("expected rising ones up to 49407", [](auto& config) { config["tokens"] = {3, 2, 49407}; });
  expect_refused("expected rising ones up to 49407", [](auto& config) { config["tokens"] = {2, 3}; });
  expect_refused("expected rising ones", [](auto& config) { config.erase("tokens"); });
  expect_refused("\"tokens\"", [](auto& config) { config["tokens"] = "all"; });
  expect_refused("8 wide and those of pictures 6", [](auto& config) { config["num_classes"] = 6; });
  expect_refused("expected a JSON object", [](auto& config) { config["text"] = 7; });
  expect_refused("text_model.embeddings.token_embedding.weight",
                 [](auto& config) { config["tokens"].erase(config["tokens"].begin()); });
  expect_refused("text_model.encoder.layers.2",
                 [](auto& config) { config["text"]["num_hidden_layers"] = 3; });
}

}  // namespace
}  // namespace tstitch
