#include "tstitch/output/run_manifest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "tests/support/golden.h"
#include "tstitch/base/error.h"
#include "tstitch/engine/report.h"
#include "tstitch/zoo/assets.h"
#include "tstitch/zoo/control_net.h"

namespace tstitch {
namespace {

// What a folder's scheduler says of its solver is no option, and determines the pictures all the same.
TEST(RunManifest, HoldsWhatTheSchedulerSaysOfTheSolver) {
  std::vector<ModelInfo> infos = read_model_infos(builtin_models());
  infos.back().defaults.sampler = "dpm++2m";
  const auto backend = make_backend({.device = "cpu", .dtype = "f32", .threads = 1});
  const RunContents contents(infos, "", [] {});
  const auto manifest = [&] {
    return RunManifest(make_run_spec(infos, {.steps = "20", .classes = {1}}), infos, contents, *backend);
  };
  const auto parameters = [&](const SampleOptions& options) {
    return png_text(make_run_spec(infos, options), infos, 0).at(0).second;
  };
  const RunManifest usual = manifest();
  infos.back().defaults.solver = {.order = 3, .heun = true};
  EXPECT_EQ(manifest().differences(usual),
            "what the model's scheduler says of the sampler is \"solver_order 3, solver_type heun\", but the "
            "unfinished run has \"\"");
  EXPECT_NE(
      parameters({.steps = "20", .classes = {1}}).find(", Solver: \"solver_order 3, solver_type heun\", "),
      std::string::npos);
  EXPECT_EQ(parameters({.sampler = "unipc", .steps = "20", .classes = {1}}).find("Solver:"),
            std::string::npos);
}

// A file of a LoRA that was changed, or another weight, make other pictures.
TEST(RunManifest, HoldsTheLoras) {
  std::vector<ModelInfo> infos = read_model_infos(builtin_models());
  const auto backend = make_backend({.device = "cpu", .dtype = "f32", .threads = 1});
  const RunSpec spec = make_run_spec(infos, {.steps = "20", .classes = {1}});
  const auto manifest = [&](const std::string& content, double weight) {
    infos.back().loras = {{.path = "fox.safetensors", .weight = weight, .file = nullptr, .content = content}};
    return RunManifest(spec, infos, RunContents(infos, "", [] {}), *backend);
  };
  const RunManifest usual = manifest("0123abcd", 0.8);
  EXPECT_EQ(manifest("0123abcd", 0.8).text(), usual.text());
  EXPECT_NE(manifest("0123abcd", 0.7).differences(usual).find("--lora is [\"\",\"crc32 0123abcd x 0.7\"]"),
            std::string::npos)
      << manifest("0123abcd", 0.7).differences(usual);
  EXPECT_NE(manifest("fedc9876", 0.8).differences(usual).find("--lora is "), std::string::npos);
  // Where networks are on a device, LoRAs are merged by the host's arithmetic.
  const auto reference = make_backend({.device = "reference", .dtype = "f32"});
  const std::string with = RunManifest(spec, infos, RunContents(infos, "", [] {}), *reference).text();
  EXPECT_NE(with.find("; LoRAs by " + backend->arithmetic()), std::string::npos) << with;
  infos.back().loras.clear();
  EXPECT_EQ(RunManifest(spec, infos, RunContents(infos, "", [] {}), *reference).text().find("LoRAs by"),
            std::string::npos);
}

// An embedding of the same name with other vectors makes other pictures, wherever it lies.
TEST(RunManifest, HoldsTheEmbeddings) {
  const std::vector<ModelInfo> infos = read_model_infos(builtin_models());
  const auto backend = make_backend({.device = "cpu", .dtype = "f32", .threads = 1});
  const RunContents contents(infos, "", [] {});
  const auto manifest = [&](const char* file, const char* name) {
    RunSpec spec = make_run_spec(infos, {.steps = "20", .classes = {1}});
    spec.embeddings.emplace_back(golden_path(concat("embedding/", file)), name);
    return RunManifest(spec, infos, contents, *backend);
  };
  const RunManifest usual = manifest("fox_webui.pt", "fox");
  EXPECT_EQ(manifest("fox_webui.pt", "fox").text(), usual.text());
  for (const auto& [file, name] : {std::pair{"sdxl_fox.pt", "fox"}, {"fox_webui.pt", "owl"}})
    EXPECT_EQ(
        manifest(file, name).differences(usual).find("--embedding is [\"" + std::string(name) + ": crc32 "),
        0u)
        << manifest(file, name).differences(usual);
}

// Another network or hint, another strength, other steps or stages make other pictures.
TEST(RunManifest, HoldsTheControlNets) {
  std::vector<ModelInfo> infos = read_model_infos(builtin_models());
  const auto backend = make_backend({.device = "cpu", .dtype = "f32", .threads = 1});
  struct Asked {
    std::string content = "8 bytes, crc32 0123abcd", path = "net", image = "hint.png";
    double strength = 0.5, high = 1;
    int pixel = 0;
    bool both = false;
  };
  const auto manifest = [&](const Asked& asked) {
    const auto net = std::make_shared<const ControlNetInfo>(ControlNetInfo{
        .path = asked.path, .files = {}, .name = "net", .config = {}, .content = asked.content});
    for (ModelInfo& info : infos) info.controls.clear();
    for (size_t i = asked.both ? 0 : infos.size() - 1; i < infos.size(); ++i)
      infos[i].controls = {{.number = 0, .net = net}};
    SampleOptions options{.steps = "20", .classes = {1}};
    options.controls = {{.path = asked.path,
                         .image = asked.image,
                         .strength = asked.strength,
                         .interval = {.low = 0, .high = asked.high}}};
    options.hints = {std::make_shared<const Image>(
        Image{.width = 28,
              .height = 28,
              .channels = 1,
              .pixels = std::vector<uint8_t>(28 * 28, static_cast<uint8_t>(asked.pixel))})};
    return RunManifest(make_run_spec(infos, options), infos, RunContents(infos, "", [] {}), *backend);
  };
  const RunManifest usual = manifest({});
  EXPECT_EQ(manifest({.path = "elsewhere/net", .image = "other.png"}).text(), usual.text());
  EXPECT_EQ(manifest({.content = "8 bytes, crc32 fedc9876"}).differences(usual),
            "--control-net is [\"8 bytes, crc32 fedc9876\"], but the unfinished run has [\"8 bytes, crc32 "
            "0123abcd\"]");
  for (const Asked& other : {Asked{.strength = 0.6}, {.high = 0.5}, {.pixel = 1}, {.both = true}})
    EXPECT_EQ(manifest(other).differences(usual).find("--control-net is [["), 0u)
        << manifest(other).differences(usual);
}

}  // namespace
}  // namespace tstitch
