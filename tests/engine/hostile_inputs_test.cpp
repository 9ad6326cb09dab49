// What is given beside the models, made to harm: answered in one sentence, and in little memory.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>

#include "on_tiny_sdxl.h"
#include "tests/support/expect_error.h"
#include "tstitch/base/crc32.h"
#include "tstitch/engine/report.h"
#include "tstitch/engine/run.h"
#include "tstitch/engine/take_loras.h"
#include "tstitch/io/png.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kSeed = 7;
constexpr int64_t kMiB = 1 << 20;

class HostileInputs : public OnTinySdxl {
 protected:
  static std::string write(const std::string& name, const std::string& bytes) {
    TinySdxl::write(tiny()->path(name), bytes);
    return tiny()->path(name);
  }
  static std::string png(const Image& image) {
    const std::vector<std::byte> bytes = encode_png(image, {});
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  static SampleOptions options() {
    SampleOptions options{.steps = "4", .prompts = {"a fox"}};
    options.given.initial = random_uniform("x_T", {1, 4, 8, 8}, std::sqrt(3.0), kSeed);
    return options;
  }

  // Of what f() makes the memory of this process grow.
  template <class F>
  static int64_t grown(const F& f) {
    const int64_t before = peak_memory_bytes();
    f();
    return peak_memory_bytes() - before;
  }
};

// A few bytes that say 65500 x 65500 pixels would take 12 GB.
TEST_F(HostileInputs, PicturesAndMasksThatWouldFillTheMemory) {
  const Image pixel = {.width = 1, .height = 1, .channels = 1, .pixels = {255}};
  std::string large = png(pixel);
  const std::string side("\0\0\xff\xdc", 4);
  large.replace(16, 8, side + side);  // in IHDR, behind its length and type
  const uint32_t crc = crc32(std::as_bytes(std::span(large)).subspan(12, 17));
  for (size_t i = 0; i < 4; ++i) large[29 + i] = static_cast<char>(crc >> (24 - 8 * i));

  std::ifstream stream(golden_path("jpeg/gray.jpg"), std::ios::binary);
  std::string jpeg{std::istreambuf_iterator<char>(stream), {}};
  jpeg.replace(jpeg.find("\xff\xc0") + 5, 4, "\xff\xdc\xff\xdc");

  const std::vector<ModelInfo> models = infos({"sdxl"});
  const std::string good = write("pixel.png", png({64, 64, 1, std::vector<uint8_t>(64 * 64)}));
  for (const std::string& bomb : {write("bomb.png", large), write("bomb.jpg", jpeg)})
    for (const bool as_mask : {false, true}) {
      SampleOptions asked = options();
      asked.files.init_image = as_mask ? good : bomb;
      if (as_mask) asked.files.mask = bomb;
      EXPECT_LE(grown([&] {
                  testing::expect_error(ErrorKind::input, "[RES_LIMIT] 65500 x 65500 pixels",
                                        [&] { read_files(asked, models); });
                }),
                16 * kMiB)
          << bomb;
    }
}

TEST_F(HostileInputs, EmbeddingsThatWouldFillTheMemory) {
  const std::vector<ModelInfo> models = infos({"sdxl"});
  const std::string corpus = TSTITCH_SOURCE_DIR "/tests/hostile/torch/";
  for (const auto& [file, code] : {std::pair{"EM4_repeated.pt", "[RES_LIMIT]"},
                                   {"EM4_elsewhere.pt", "[PT_VIEW_RANGE]"},
                                   {"EM2_code.pt", "[PKL_DANGEROUS_GLOBAL]"}}) {
    SampleOptions asked = options();
    asked.embeddings = {{corpus + file, "fox"}};
    EXPECT_LE(grown([&, &code = code] {
                testing::expect_error(ErrorKind::input, code, [&] { make_run_spec(models, asked); });
              }),
              16 * kMiB)
        << file;
  }
}

// A hundredth of a change from each of 100 files is the change, and memory holds none of them.
TEST_F(HostileInputs, AHundredLoras) {
  TinySdxl::Tensors change;
  for (const auto& [name, weight] : TinySdxl::unet("sdxl")) {
    if (name.find(".to_") == name.npos || !name.ends_with(".weight")) continue;
    const std::string module = "unet." + name.substr(0, name.size() - 7);
    change[module + ".lora_A.weight"] = random_uniform(module + "/a", {4, weight.extent(1)}, 0.3, kSeed);
    change[module + ".lora_B.weight"] = random_uniform(module + "/b", {weight.extent(0), 4}, 0.3, kSeed);
  }
  SampleOptions whole = options(), shared = options();
  for (int i = 0; i < 100; ++i) {
    const std::string path = tiny()->path(concat("lora_", i, ".safetensors"));
    write_safetensors(path, change, {});
    shared.loras.push_back({path, 0.01});
    if (i == 0) whole.loras = {{path, 1}};
  }
  const auto backend = make_backend({.dtype = "f32", .threads = 2});
  const auto latents = [&](const SampleOptions& asked) {
    std::vector<ModelInfo> models = infos({"sdxl"});
    take_loras(asked, models);
    const RunSpec spec = make_run_spec(models, asked);
    std::vector<Model> loaded;
    loaded.push_back(load_model(models[0], *backend));
    RunObserver silent;
    return run(*backend, loaded, spec, silent).latents;
  };
  const Tensor expected = latents(whole);
  EXPECT_GT(relative_error(latents(options()), expected), 1e-3);
  Tensor found;
  EXPECT_LE(grown([&] { found = latents(shared); }), 64 * kMiB);
  EXPECT_LE(relative_error(found, expected), 1e-4);
}

}  // namespace
}  // namespace tstitch
