// The smallest family there can be: every pixel times the slope of its picture's class.
#pragma once

#include <nlohmann/json.hpp>

#include "tstitch/ops/ops.h"
#include "tstitch/zoo/architecture.h"
#include "tstitch/zoo/family.h"
#include "tstitch/zoo/file_weights.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

struct ToyNetwork final : Network {
  struct Slope final : BoundCondition {
    explicit Slope(int64_t c) : class_number(c) {}
    int64_t class_number;
  };

  explicit ToyNetwork(const Weights& w)
      : backend(w.backend()), table(backend.upload(w.load("toy", {4, 2}))) {}
  std::unique_ptr<const BoundCondition> bind(const Condition& condition, int64_t, int64_t) const override {
    return std::make_unique<Slope>(condition.class_number.value());
  }
  Tensor evaluate(const Tensor& x, std::span<const Row> rows) const override {
    std::vector<int64_t> classes;
    for (const Row& row : rows) classes.push_back(static_cast<const Slope&>(*row.condition).class_number);
    return scale_shift(backend, x, gather(backend, table, classes).reshape({std::ssize(rows), 2, 1}));
  }
  Backend& backend;
  Tensor table;  // of three classes, and of none of them
};

struct ToyArchitecture final : Architecture {
  std::string name() const override { return "toy"; }
  nlohmann::ordered_json details() const override { return {{"classes", 3}}; }
  int64_t parameters() const override { return 8; }
  double flops(int64_t height, int64_t width) const override { return static_cast<double>(height * width); }
  int64_t unit() const override { return 1; }
  std::unique_ptr<WeightSource> weights(const TensorFile& file) const override {
    return std::make_unique<FileWeights>(file);
  }
  std::unique_ptr<Network> load(Backend& backend, const WeightSource& weights) const override {
    return std::make_unique<ToyNetwork>(Weights(backend, weights));
  }
};

constexpr Family kToy = {
    .name = "toy",
    .recognise = [](const ModelSource& source) { return source.tensors.tensors().contains("toy"); },
    .describe =
        [](const ModelSource&) {
          ModelInfo info{.channels = 1, .side = 4, .pixels_per_latent = 1, .pixels = true};
          info.architecture = std::make_shared<ToyArchitecture>();
          info.condition = {.kind = ConditionKind::classes, .num_classes = 3};
          return info;
        }};

}  // namespace tstitch
