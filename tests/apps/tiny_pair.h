// The program on the pair of tiny networks of the engine's tests.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/apps/cli.h"
#include "tests/engine/tiny_sd.h"
#include "tstitch/io/png.h"

namespace tstitch {

using Arguments = std::vector<std::string>;

// The folders of a small and a large network, with text encoder and autoencoder.
struct TinyFolders : StableDiffusion {
  using StableDiffusion::add_vae, StableDiffusion::folder, StableDiffusion::SetUpTestSuite,
      StableDiffusion::TearDownTestSuite;
};

class OnTinyPair : public Cli {
 protected:
  static void SetUpTestSuite() {
    TinyFolders::SetUpTestSuite();
    TinyFolders::add_vae("large");
  }
  static void TearDownTestSuite() { TinyFolders::TearDownTestSuite(); }

  static Arguments of_pair(const std::string& command, const Arguments& more) {
    Arguments all = {command,
                     "-m",
                     (TinyFolders::folder() / "small").string(),
                     "-m",
                     (TinyFolders::folder() / "large").string(),
                     "-p",
                     "a fox",
                     "-W",
                     "64",
                     "-H",
                     "64",
                     "--steps",
                     "3"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Outcome done(const Arguments& arguments) const {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome;
  }
  std::vector<uint8_t> pixels(const std::string& name) const { return read_png(path(name).string()).pixels; }
};

}  // namespace tstitch
