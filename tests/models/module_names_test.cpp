#include "tstitch/models/module_names.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/support/recorder.h"
#include "tstitch/base/error.h"
#include "tstitch/models/clip_text.h"
#include "tstitch/models/unet.h"

namespace tstitch {
namespace {

std::set<std::string> with_weights(const Recorder& recorder) {
  std::set<std::string> modules;
  for (const auto& [name, tensor] : recorder.tensors)
    if (name.ends_with(".weight"))
      modules.insert(name.substr(0, name.size() - std::string(".weight").size()));
  return modules;
}

std::set<std::string> as_set(const std::vector<std::string>& names) { return {names.begin(), names.end()}; }

TEST(ModuleNames, OfAUNetAreThoseItLoads) {
  const auto backend = make_backend({.dtype = "f32", .threads = 1});
  for (const char* preset :
       {"sd1", "bk_small", "bk_tiny", "sdxl", "sdxl_refiner", "ssd1b", "vega", "koala_700m"}) {
    UNetConfig config = unet_preset(preset);
    std::ranges::fill(config.block_out_channels, 32);
    config.block_out_channels[1] = 64;
    std::ranges::fill(config.heads, 1);
    config.context_width = 8;
    config.added_width = std::min<int64_t>(config.added_width, 8);
    config.guidance_width = preset == std::string("sd1") ? 8 : 0;
    const Recorder recorder(preset);
    const UNet unet(config, Weights(*backend, recorder));
    EXPECT_EQ(as_set(unet_modules(config)), with_weights(recorder)) << preset;
  }
}

TEST(ModuleNames, OfATextEncoderAreThoseItLoads) {
  const auto backend = make_backend({.dtype = "f32", .threads = 1});
  const Recorder recorder("text");
  const ClipText clip(
      {.vocabulary = 8, .positions = 4, .width = 64, .layers = 2, .heads = 1, .mlp_size = 8, .projection = 4},
      Weights(*backend, recorder), {.pooled = true});
  EXPECT_EQ(as_set(clip_text_modules(2)), with_weights(recorder));
}

}  // namespace
}  // namespace tstitch
