// Two tiny DiTs of random weights, and runs of them.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "tstitch/engine/run.h"
#include "tstitch/zoo/families/dit.h"

namespace tstitch {

inline const DiTConfig kTiny = {.input_size = 28,
                                .patch_size = 4,
                                .in_channels = 1,
                                .hidden_size = 64,
                                .depth = 2,
                                .num_heads = 4,
                                .num_classes = 10};

inline DiTConfig larger() {
  DiTConfig config = kTiny;
  config.hidden_size = 96;
  config.depth = 3;
  config.num_heads = 6;
  return config;
}

struct Setting {
  std::string dtype = "f32";
  int threads = 2;
  std::vector<std::string> tags = {"one", "two"};  // "one" is the small model, "two" the larger one
  SampleOptions options = {};
  Tensor init_latent = {};  // see EncodedInputs
};

inline RunResult sample(const Setting& setting, Backend& backend) {
  std::vector<Model> models;
  std::vector<ModelInfo> infos;
  for (const std::string& tag : setting.tags) {
    models.push_back(random_model(dit_info(tag == "one" ? kTiny : larger(), tag), 3, backend));
    infos.push_back(models.back().info);
  }
  SampleOptions options = setting.options;
  if (options.steps.empty()) options.steps = "6";
  if (options.classes.empty()) options.classes = {1, 4, 9};
  RunObserver silent;
  const RunSpec spec = make_run_spec(infos, options);
  return run(backend, models, spec, silent,
             {.conditions = make_condition_makers(backend, infos, spec), .init_latent = setting.init_latent});
}
inline RunResult sample(const Setting& setting) {
  return sample(setting,
                *make_backend({.device = "cpu", .dtype = setting.dtype, .threads = setting.threads}));
}

inline void expect_equal(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(a.shape(), b.shape());
  EXPECT_EQ(std::memcmp(a.bytes(), b.bytes(), static_cast<size_t>(a.elements()) * 4), 0);
}

}  // namespace tstitch
