// What the tests of the analyses share: the arrays of tools/goldens/make_analysis_goldens.py, and small
// models.
#pragma once

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/golden.h"
#include "tstitch/engine/run.h"
#include "tstitch/io/json.h"
#include "tstitch/nn/random_weights.h"
#include "tstitch/zoo/families/dit.h"

namespace tstitch {

inline nlohmann::json golden_analyses(const char* kind) {
  return parse_json_file(golden_path("eval/analyses.json")).at(kind);
}

inline Shape shape_of(const nlohmann::json& golden) {
  const std::vector<int64_t> s = golden.at("shape");
  return {s[0], s[1], s[2], s[3]};
}

inline Tensor array(const std::string& name, const Shape& shape) {
  return random_uniform("eval/" + name, shape, std::sqrt(3.0), 7);
}

// Two or more tiny DiTs, equal where their tags are, and a spec of 6 steps for 5 images in 3 batches.
struct Small {
  explicit Small(const std::vector<std::string>& tags,
                 std::unique_ptr<Backend> on = make_backend({.dtype = "f32", .threads = 2}))
      : backend(std::move(on)) {
    std::vector<ModelInfo> infos;
    for (const std::string& tag : tags) {
      models.push_back(random_model(dit_info({.input_size = 28,
                                              .patch_size = 4,
                                              .in_channels = 1,
                                              .hidden_size = 64,
                                              .depth = 2,
                                              .num_heads = 4,
                                              .num_classes = 10},
                                             tag),
                                    3, *backend));
      infos.push_back(models.back().info);
    }
    SampleOptions options;
    options.steps = "6";
    options.classes = {1, 4, 9, 2, 3};
    options.batch_size = 2;
    spec = std::make_unique<RunSpec>(make_run_spec(infos, options));
    inputs.conditions = make_condition_makers(*backend, infos, *spec);
  }

  std::unique_ptr<Backend> backend;
  std::vector<Model> models;
  std::unique_ptr<RunSpec> spec;
  EncodedInputs inputs;
};

// Ends a run after its fourth step.
struct Impatient : RunObserver {
  bool cancelled() override { return ++steps == 4; }
  int steps = 0;
};

}  // namespace tstitch
