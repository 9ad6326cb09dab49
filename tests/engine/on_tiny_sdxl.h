#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/tiny_sdxl.h"
#include "tstitch/base/error.h"
#include "tstitch/engine/sample_options.h"
#include "tstitch/nn/random_weights.h"
#include "tstitch/zoo/model.h"

namespace tstitch {

// Starts from a picture of 64 x 64 pixels, with PyTorch's noise of seed 7. Returns its latent in the goldens,
// instead of what the autoencoder makes of it.
inline Tensor start_from_picture(SampleOptions& options, double strength) {
  options.rng = "torch";
  options.seed = 7;
  options.strength = strength;
  options.init_image = Tensor({3, 64, 64}, DType::f32);
  return random_uniform("picture", {1, 4, 8, 8}, std::sqrt(3.0), 7);
}

// Tests that sample with the tiny networks, which are written once for all of a suite.
class OnTinySdxl : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    tiny() = std::make_unique<TinySdxl>(std::filesystem::temp_directory_path() /
                                        concat("tstitch_sdxl_", getpid()));
  }
  static void TearDownTestSuite() { tiny().reset(); }

  static std::unique_ptr<TinySdxl>& tiny() {
    static std::unique_ptr<TinySdxl> all;
    return all;
  }

  static std::vector<ModelInfo> infos(const std::vector<std::string>& names) {
    std::vector<std::string> paths;
    for (const std::string& name : names) paths.push_back(tiny()->path(name));
    return read_model_infos(paths);
  }
};

}  // namespace tstitch
