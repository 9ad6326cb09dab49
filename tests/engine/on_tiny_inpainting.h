// The tiny networks of tests/golden/inpainting (tools/goldens/make_inpainting_goldens.py), and its picture
// and mask.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/engine/tiny_sd.h"
#include "tests/support/golden.h"
#include "tstitch/engine/engine.h"

namespace tstitch {

inline constexpr int64_t kSide = 64;  // pixels

inline bool is_painted(int64_t pixel) {
  const int64_t y = pixel / kSide, x = pixel % kSide;
  return 13 <= y && y < 45 && 9 <= x && x < 38;
}

inline Tensor mask() {
  Tensor mask({kSide, kSide}, DType::f32);
  for (int64_t y = 0; y < kSide; ++y)
    for (int64_t x = 0; x < kSide; ++x) mask.data<float>()[y * kSide + x] = is_painted(y * kSide + x) ? 1 : 0;
  return mask;
}

inline SampleOptions asked(const std::string& sampler = "ddim") {
  SampleOptions options{.sampler = sampler, .steps = "10", .prompts = {kPrompt}, .seed = kSeed};
  options.negative_prompt = "blurry";
  options.rng = "torch";
  options.init_image = Tensor({3, kSide, kSide}, DType::f32);
  for (int64_t c = 0; c < 3; ++c)
    for (int64_t place = 0; place < kSide * kSide; ++place) {
      const auto i = static_cast<int>(3 * place + c);
      options.init_image.data<float>()[c * kSide * kSide + place] =
          static_cast<float>(static_cast<uint8_t>(i * 37 % 251 ^ i / 7 % 5) / 127.5 - 1);
    }
  options.mask = mask();
  return options;
}

struct Result {
  Tensor latents;
  std::vector<Image> pictures;
};
inline Result sampled(const std::vector<ModelInfo>& infos, const SampleOptions& options) {
  struct Kept final : PictureSink {
    void add(int64_t, const std::vector<Image>& more) override {
      pictures.insert(pictures.end(), more.begin(), more.end());
    }
    std::vector<Image> pictures;
  } kept;
  const RunSpec spec = make_run_spec(infos, options);
  Engine engine(infos, {.dtype = "f32", .threads = 2});
  engine.load(spec);
  KeepLatents latents(spec);
  RunObserver silent;
  const IndexRange all{0, spec.images()};
  engine.sample(spec, {&all, 1}, silent, &kept, &latents);
  return {latents.latents(), kept.pictures};
}

class Inpainting : public StableDiffusion {
 protected:
  static void SetUpTestSuite() {
    StableDiffusion::SetUpTestSuite();
    add_vae("large");
    fs::copy(folder() / "large", folder() / "inpaint", fs::copy_options::recursive);
    nlohmann::json config = parse_json_file(golden_path("sd/large_config.json")),
                   names = parse_json_file(golden_path("sd/large_names.json"));
    config["in_channels"] = 9;
    names["conv_in.weight"][1] = 9;
    write_part(folder() / "inpaint" / "unet", config, "inpaint", names);
  }

  static std::vector<ModelInfo> models(const std::vector<std::string>& names) {
    std::vector<std::string> paths;
    for (const std::string& name : names) paths.push_back((folder() / name).string());
    return read_model_infos(paths);
  }
};

}  // namespace tstitch
