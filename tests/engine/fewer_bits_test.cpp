// Networks in files of fewer bits sample as what their weights stand for, bit for bit.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <random>

#include "on_tiny_sdxl.h"
#include "tests/support/expect_error.h"
#include "tstitch/engine/engine.h"
#include "tstitch/engine/take_loras.h"
#include "tstitch/io/checkpoint.h"
#include "tstitch/io/convert_checkpoint.h"
#include "tstitch/io/convert_to_gguf.h"
#include "tstitch/io/gguf.h"
#include "tstitch/nn/random_weights.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kSeed = 7;

class FewerBits : public OnTinySdxl {
 protected:
  // A file in a folder of its own, beside the network's configuration.
  static std::string in_folder(const std::string& name, const std::string& file) {
    const fs::path folder = tiny()->path(name);
    TinySdxl::write(folder / "config.json", TinySdxl::configs().at("sdxl").dump());
    return (folder / file).string();
  }

  // The network under names without a prefix, its large tensors of all types in turn. Of those that nothing
  // here encodes the blocks hold random bits, with scales (halves, at these bytes) that make numbers below 1.
  static std::string of_all_types() {
    const struct {
      const char* name;
      std::vector<size_t> scales;
      float scale;
    } types[] = {{"Q8_0", {0}, 1e-3f},   {"Q4_0", {0}, 1e-2f},    {"Q4_1", {0, 2}, 1e-2f},
                 {"Q5_0", {0}, 1e-2f},   {"Q5_1", {0, 2}, 1e-2f}, {"Q2_K", {80, 82}, 3e-3f},
                 {"Q3_K", {108}, 1e-3f}, {"Q4_K", {0, 2}, 1e-4f}, {"Q5_K", {0, 2}, 1e-4f},
                 {"Q6_K", {208}, 3e-5f}};
    std::map<std::string, TensorHeader> headers;
    size_t turn = 0;
    const TinySdxl::Tensors tensors = TinySdxl::unet("sdxl");
    for (const auto& [name, tensor] : tensors) {
      const auto extents = tensor.shape().extents();
      const bool blocks = tensor.shape().rank() > 1 && tensor.elements() % 256 == 0;
      headers[name] = {blocks ? types[turn++ % std::size(types)].name : "F32",
                       {extents.begin(), extents.end()}};
    }
    EXPECT_GT(turn, 4 * std::size(types));
    std::mt19937 random(kSeed);
    const std::string path = in_folder("all_types", "net.gguf");
    write_gguf(
        path, headers, {{"general.architecture", "sdxl"}}, [&](const std::string& name, AtomicFile& file) {
          const Tensor& x = tensors.at(name);
          const BlockType* blocks = find_block_type(headers.at(name).dtype_name);
          if (!blocks) {
            file.write({x.bytes(), static_cast<size_t>(x.elements()) * sizeof(float)});
            return true;
          }
          std::vector<std::byte> bytes(static_cast<size_t>(x.elements() / blocks->elements * blocks->bytes));
          for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
          const auto* type =
              std::ranges::find(types, headers.at(name).dtype_name, [](const auto& t) { return t.name; });
          for (size_t at = 0; at < bytes.size(); at += static_cast<size_t>(blocks->bytes))
            for (const size_t scale : type->scales) {
              const float16 half = to_float16(type->scale);
              std::memcpy(&bytes[at + scale], &half, sizeof half);
            }
          file.write(bytes);
          return true;
        });
    return path;
  }

  // The same numbers, without blocks.
  static std::string decoded(const std::string& path, const std::string& name) {
    const std::string to = in_folder(name, "net.safetensors");
    EXPECT_TRUE(convert_checkpoint(open_checkpoint(path), to, DType::f32, [] { return true; }));
    return to;
  }

  static std::string in_gguf(const std::string& from, const std::string& name, const std::string& type) {
    const std::string to = in_folder(name, "net.gguf");
    EXPECT_TRUE(convert_to_gguf(open_checkpoint(from), to, type, [] { return true; }));
    return to;
  }

  // Of a few steps by the file's network, and then as many by SDXL where `with` is its folder.
  static std::string latents_of(Backend& backend, const std::string& file, const std::string& with,
                                const std::vector<LoraOption>& loras = {}) {
    std::vector<std::string> paths = {file};
    if (!with.empty()) paths.push_back(tiny()->path(with));
    std::vector<ModelInfo> models = read_model_infos(paths);
    SampleOptions options{.steps = "4", .prompts = {"an astronaut"}, .negative_prompt = "blurry"};
    if (!with.empty()) options.fractions = {0.5, 0.5};
    options.width = options.height = 64;
    options.loras = loras;
    options.given.initial = random_uniform("x_T", {1, 4, 8, 8}, std::sqrt(3.0), kSeed);
    take_loras(options, models);
    const RunSpec spec = make_run_spec(models, options);
    std::vector<Model> loaded;
    for (const ModelInfo& info : models) loaded.push_back(load_model(info, backend));
    RunObserver silent;
    const Tensor x =
        run(backend, loaded, spec, silent, {.conditions = make_condition_makers(backend, models, spec)})
            .latents;
    for (int64_t i = 0; i < x.elements(); ++i) EXPECT_TRUE(std::isfinite(x.data<float>()[i]));
    return {reinterpret_cast<const char*>(x.bytes()), static_cast<size_t>(x.elements()) * sizeof(float)};
  }

  std::unique_ptr<Backend> f32_ = make_backend({.dtype = "f32", .threads = 2});
};

TEST_F(FewerBits, ANetworkOfAllTypesTakesItsPartnersEncoders) {
  const std::string file = of_all_types(), same = decoded(file, "of_no_type");
  EXPECT_EQ(read_model_info(file).dtypes, "F32, Q2_K, Q3_K, Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0");
  EXPECT_TRUE(latents_of(*f32_, file, "sdxl") == latents_of(*f32_, same, "sdxl"));
  const auto bf16 = make_backend({.dtype = "bf16", .threads = 2});
  EXPECT_TRUE(latents_of(*bf16, file, "sdxl") == latents_of(*bf16, same, "sdxl"));
}

TEST_F(FewerBits, LorasAreMergedWithWhatBlocksStandFor) {
  const std::string module = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q";
  const Tensor weight = TinySdxl::unet("sdxl").at(module + ".weight");
  const std::string lora = tiny()->path("change.safetensors");
  write_safetensors(
      lora,
      {{"unet." + module + ".lora_A.weight", random_uniform("down", {4, weight.extent(1)}, 0.3, kSeed)},
       {"unet." + module + ".lora_B.weight", random_uniform("up", {weight.extent(0), 4}, 0.3, kSeed)}},
      {});
  const std::string file = of_all_types(), same = decoded(file, "of_no_type");
  const std::string changed = latents_of(*f32_, file, "sdxl", {{lora, 0.7}});
  EXPECT_TRUE(changed == latents_of(*f32_, same, "sdxl", {{lora, 0.7}}));
  EXPECT_FALSE(changed == latents_of(*f32_, file, "sdxl"));
}

// As stable-diffusion.cpp writes a checkpoint of everything.
TEST_F(FewerBits, AWholeFileSamplesAlone) {
  TinySdxl::Tensors all;
  const nlohmann::json names = parse_json_file(golden_path("unet/sdxl_names.json"));
  for (const auto& [name, tensor] : TinySdxl::unet("sdxl")) {
    std::string longest;
    for (const auto& [module, target] : names.items())
      if (name.starts_with(module + ".") && module.size() > longest.size()) longest = module;
    all["model.diffusion_model." + names.at(longest).get<std::string>() + name.substr(longest.size())] =
        tensor;
  }
  for (const auto& [name, tensor] : TinySdxl::text("text"))
    all["cond_stage_model.transformer.text_model." + name] = tensor;
  for (const auto& [name, tensor] : TinySdxl::text("text_2"))
    all[concat("cond_stage_model.1.transformer.", name == "text_projection.weight" ? "" : "text_model.",
               name)] = tensor;
  const std::string whole = tiny()->path("whole.safetensors");
  write_safetensors(whole, all, {});
  for (const char* type : {"Q8_0", "Q4_0"}) {
    SCOPED_TRACE(type);
    const std::string file = in_gguf(whole, concat("whole_", type), type);
    fs::remove(fs::path(file).replace_filename("config.json"));
    const ModelInfo info = read_model_info(file);
    EXPECT_EQ(info.files.text_encoders, std::vector({file, file}));
    EXPECT_EQ(info.dtypes, concat("F16, F32, ", type));
    const std::string same = decoded(file, concat("whole_of_no_type_", type));
    EXPECT_TRUE(latents_of(*f32_, file, "") == latents_of(*f32_, same, ""));
  }
}

TEST_F(FewerBits, OtherNetworksAreRefusedByName) {
  const std::string path = tiny()->path("flux.gguf");
  write_gguf(path, {{"double_blocks.0.img_attn.proj.weight", {"F32", {1}}}},
             {{"general.architecture", "flux"}}, [](const std::string&, AtomicFile& file) {
               file.write(std::vector<std::byte>(4));
               return true;
             });
  testing::expect_error(
      ErrorKind::input,
      "flux.gguf: no network of a family that is known: DiT, U-Net; its general.architecture is "
      "\"flux\"",
      [&] { read_model_info(path); });
}

}  // namespace
}  // namespace tstitch
