#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/tiny_sdxl.h"
#include "tstitch/base/error.h"
#include "tstitch/zoo/model.h"

namespace tstitch {

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
