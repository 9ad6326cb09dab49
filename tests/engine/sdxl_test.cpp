// SDXL's kind, from prompt to final latents, against diffusers (tools/goldens/make_sdxl_goldens.py), in
// folders and single files; what is told beside the prompt; and what must be refused.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "on_tiny_sdxl.h"
#include "tests/support/expect_error.h"
#include "tests/zoo/toy_family.h"
#include "tstitch/condition/text_encoder.h"
#include "tstitch/engine/engine.h"
#include "tstitch/engine/fields.h"
#include "tstitch/engine/memory_check.h"
#include "tstitch/zoo/families/unet.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kSeed = 7;
constexpr const char* kPrompt = "a photograph of an astronaut riding a horse";
constexpr double kTolerance = 1e-4;  // relative, in f32

class Sdxl : public OnTinySdxl {
 protected:
  static SampleOptions options() {
    SampleOptions options{.steps = "10", .prompts = {kPrompt}, .negative_prompt = "blurry"};
    options.given.initial = random_uniform("x_T", {1, 4, 8, 8}, std::sqrt(3.0), kSeed);
    return options;
  }

  static Tensor latents_of(Backend& backend, const std::vector<ModelInfo>& infos, const SampleOptions& asked,
                           const Tensor& init_latent = {}) {
    const RunSpec spec = make_run_spec(infos, asked);
    std::vector<Model> models;
    for (const ModelInfo& info : infos) models.push_back(load_model(info, backend));
    RunObserver silent;
    return run(backend, models, spec, silent,
               {.conditions = make_condition_makers(backend, infos, spec), .init_latent = init_latent})
        .latents;
  }

  // OpenCLIP's names: queries, keys and values in one matrix, the projection transposed.
  static TinySdxl::Tensors openclip(const TinySdxl::Tensors& texts, const std::string& prefix) {
    const auto joined = [&](const std::string& layer, const std::string& kind) {
      std::vector<Tensor> parts;
      for (const char* part : {"q", "k", "v"})
        parts.push_back(texts.at(concat(layer, ".self_attn.", part, "_proj.", kind)));
      std::vector<int64_t> extents(parts[0].shape().extents().begin(), parts[0].shape().extents().end());
      extents[0] *= 3;
      Tensor all(Shape(extents), DType::f32);
      float* to = all.data<float>();
      for (const Tensor& part : parts) to = std::copy_n(part.data<float>(), part.elements(), to);
      return all;
    };
    TinySdxl::Tensors stored;
    for (const auto& [name, tensor] : texts) {
      if (name.find("self_attn") != name.npos && name.find("out_proj") == name.npos) continue;
      std::string key = name;
      for (const auto& [from, to] : std::initializer_list<std::pair<std::string, std::string>>{
               {"embeddings.token_embedding", "token_embedding"},
               {"embeddings.position_embedding.weight", "positional_embedding"},
               {"encoder.layers.", "transformer.resblocks."},
               {"layer_norm1", "ln_1"},
               {"layer_norm2", "ln_2"},
               {"mlp.fc1", "mlp.c_fc"},
               {"mlp.fc2", "mlp.c_proj"},
               {"self_attn.out_proj", "attn.out_proj"},
               {"final_layer_norm", "ln_final"}})
        if (const size_t at = key.find(from); at != key.npos) key.replace(at, from.size(), to);
      stored[prefix + key] = tensor;
    }
    for (int64_t layer = 0; texts.contains(concat("encoder.layers.", layer, ".mlp.fc1.weight")); ++layer)
      for (const char* kind : {"weight", "bias"})
        stored[concat(prefix, "transformer.resblocks.", layer, ".attn.in_proj_", kind)] =
            joined(concat("encoder.layers.", layer), kind);
    stored.erase(prefix + "text_projection.weight");
    const Tensor& projection = texts.at("text_projection.weight");
    Tensor& transposed = stored[prefix + "text_projection"];
    transposed = Tensor({projection.extent(1), projection.extent(0)}, DType::f32);
    for (int64_t row = 0; row < projection.extent(0); ++row)
      for (int64_t column = 0; column < projection.extent(1); ++column)
        transposed.data<float>()[column * projection.extent(0) + row] =
            projection.data<float>()[row * projection.extent(1) + column];
    return stored;
  }

  static std::string bytes_of(const Tensor& x) {
    return {reinterpret_cast<const char*>(x.bytes()), static_cast<size_t>(x.elements() * size_of(x.dtype()))};
  }

  std::unique_ptr<Backend> backend_ = make_backend({.dtype = "f32", .threads = 2});
};

TEST_F(Sdxl, EncodesTextsAsDiffusers) {
  const EncodedText text =
      encode_texts(*backend_, infos({"sdxl"})[0], {kPrompt}, 0, PromptStyle::plain).at(0);
  ASSERT_EQ(text.context.shape(), Shape({77, 256}));
  Tensor rows({10, 256}, DType::f32);  // every eighth
  for (int64_t i = 0; i < 10; ++i)
    std::copy_n(text.context.data<float>() + 8 * i * 256, 256, rows.data<float>() + i * 256);
  EXPECT_LE(relative_error(rows, golden("sdxl/context.npy")), 1e-5);
  EXPECT_LE(relative_error(text.pooled, golden("sdxl/pooled.npy")), 1e-5);
}

TEST_F(Sdxl, AgreesWithDiffusers) {
  for (const std::string name : {"sdxl", "ssd1b", "vega", "koala_1b", "koala_700m"})
    EXPECT_LE(
        relative_error(latents_of(*backend_, infos({name}), options()), golden("sdxl/" + name + ".npy")),
        kTolerance)
        << name;
}

// 9 x 13 latents: neither side can be halved, and the two networks keep skips of other depths.
TEST_F(Sdxl, OfAnySizeInEightsItAgreesWithDiffusers) {
  SampleOptions asked = options();
  asked.fractions = {0.5, 0.5};
  asked.width = 104;
  asked.height = 72;
  asked.given.initial = random_uniform("x_T", {1, 4, 9, 13}, std::sqrt(3.0), kSeed);
  EXPECT_LE(
      relative_error(latents_of(*backend_, infos({"koala_700m", "sdxl"}), asked), golden("sdxl/odd.npy")),
      kTolerance);
  asked.width = 100;
  testing::expect_error(ErrorKind::usage,
                        "--width is 100, expected a multiple of 8 up to 8192: the nearest are"
                        " 96 and 104",
                        [&] { make_run_spec(infos({"sdxl"}), asked); });
}

TEST_F(Sdxl, StitchedItAgreesWithTheReferencesRule) {
  for (const auto& [small, ratio, name] : {std::tuple{"ssd1b", 0.3, "ssd1b_0.3"},
                                           {"ssd1b", 0.5, "ssd1b_0.5"},
                                           {"koala_700m", 0.5, "koala_0.5"}}) {
    SampleOptions asked = options();
    asked.fractions = {ratio, 1 - ratio};
    const Tensor expected = golden(concat("sdxl/", name, ".npy"));
    EXPECT_LE(relative_error(latents_of(*backend_, infos({small, "sdxl"}), asked), expected), kTolerance)
        << name;
    // A network that comes alone takes the partner's encoders, scheduler and habits.
    EXPECT_LE(
        relative_error(latents_of(*backend_, infos({concat("alone/", small), "sdxl"}), asked), expected),
        kTolerance)
        << name;
    // About that in bf16, too.
    const auto bf16 = make_backend({.dtype = "bf16", .threads = 2});
    EXPECT_LE(relative_error(latents_of(*bf16, infos({small, "sdxl"}), asked), expected), 5e-2) << name;
  }
}

TEST_F(Sdxl, WhatIsToldBesideThePromptAgreesWithDiffusers) {
  const auto expect_golden = [&](const char* name, const Said& said) {
    const auto models = infos({"sdxl"});
    SampleOptions asked = parse_options(
        merged({{"model", {models[0].path}}, {"prompt", {kPrompt}}, {"steps", {"10"}}}, said), models);
    asked.given = options().given;
    EXPECT_LE(relative_error(latents_of(*backend_, models, asked), golden(concat("sdxl/", name, ".npy"))),
              kTolerance)
        << name;
  };
  expect_golden("zeros", {});
  expect_golden("zeros", {{"empty_prompt", {"zeros"}}});
  expect_golden("encoded", {{"empty_prompt", {"encode"}}});
  expect_golden("sizes", {{"negative_prompt", {"blurry"}},
                          {"original_size", {"90x100"}},
                          {"crop", {"7,5"}},
                          {"target_size", {"72x64"}}});
  // The third layer from the last, of three: diffusers' clip_skip of 1.
  expect_golden("skip", {{"negative_prompt", {"blurry"}}, {"clip_skip", {"3"}}});
  expect_golden("sdxl", {{"negative_prompt", {"blurry"}}, {"clip_skip", {"2"}}});
}

// The official way: the base model until 0.8, then the refiner, which is told a score and reads one encoder.
TEST_F(Sdxl, TheRefinerTakesTheLastSteps) {
  const auto models = infos({"sdxl", "refiner"});
  EXPECT_TRUE(models[1].condition.scored);
  EXPECT_FALSE(models[1].condition.empty_is_zeros);
  EXPECT_EQ(models[1].condition.pooled_width, 96);
  SampleOptions asked = options();
  asked.switch_steps = {8};
  EXPECT_LE(relative_error(latents_of(*backend_, models, asked), golden("sdxl/refined.npy")), kTolerance);
  asked.aesthetic_score = 7;
  asked.negative_aesthetic_score = 1.5;
  EXPECT_LE(relative_error(latents_of(*backend_, models, asked), golden("sdxl/scored.npy")), kTolerance);
}

TEST_F(Sdxl, FromAPictureItAgreesWithDiffusers) {
  SampleOptions asked = options();
  asked.given = {};
  const Tensor latent = start_from_picture(asked, 0.6);
  EXPECT_LE(relative_error(latents_of(*backend_, infos({"sdxl"}), asked, latent), golden("sdxl/img2img.npy")),
            kTolerance);
}

TEST_F(Sdxl, VelocitiesWithoutAnySignalAtTheEndAgreeWithDiffusers) {
  tiny()->pipeline("zero_snr", "sdxl", "zero_snr");
  const auto models = infos({"zero_snr"});
  EXPECT_TRUE(models[0].noise.zero_snr);
  EXPECT_LE(relative_error(latents_of(*backend_, models, options()), golden("sdxl/zero_snr.npy")),
            kTolerance);
  EXPECT_FALSE(stitch_obstacles(models[0], infos({"sdxl"})[0]).empty());
}

// With the original code's names and with diffusers', whose shapes say what the folder's files do.
TEST_F(Sdxl, ASingleFileIsItsFolder) {
  // No shape shows the activation of so narrow an encoder.
  const fs::path folder = tiny()->path("of_gelu");
  tiny()->pipeline("of_gelu", "sdxl");
  fs::remove(folder / "text_encoder");
  nlohmann::json config = TinySdxl::configs().at("text");
  config["hidden_act"] = "gelu";
  const auto texts = TinySdxl::text("text"), texts_2 = TinySdxl::text("text_2"),
             unet = TinySdxl::unet("sdxl");
  TinySdxl::component(folder / "text_encoder", "text", "model.safetensors", texts);
  TinySdxl::write(folder / "text_encoder" / "config.json", config.dump());

  TinySdxl::Tensors original, diffusers, renamed, split;  // the last two as stable-diffusion.cpp does
  const nlohmann::json modules = parse_json_file(golden_path("unet/sdxl_names.json"));
  for (const auto& [name, tensor] : unet) {
    std::string longest;
    for (const auto& [module, target] : modules.items())
      if (name.starts_with(module + ".") && module.size() > longest.size()) longest = module;
    original["model.diffusion_model." + modules.at(longest).get<std::string>() +
             name.substr(longest.size())] = tensor;
    diffusers["unet." + name] = tensor;
  }
  for (const auto& [name, tensor] : texts) {
    original["conditioner.embedders.0.transformer.text_model." + name] = tensor;
    diffusers["text_encoder.text_model." + name] = tensor;
  }
  for (const auto& [name, tensor] : texts_2)
    diffusers[concat("text_encoder_2.", name.starts_with("text_projection") ? "" : "text_model.", name)] =
        tensor;
  for (const auto& [name, tensor] : original)
    if (name.starts_with("model.")) renamed[name] = tensor;
  for (const auto& [name, tensor] : texts)
    renamed["cond_stage_model.transformer.text_model." + name] = tensor;
  const std::string second = "cond_stage_model.1.transformer.text_model.";
  const TinySdxl::Tensors joined = openclip(texts_2, "");
  renamed[second + "text_projection"] = joined.at("text_projection");
  split = renamed;
  for (const auto& [name, tensor] : texts_2) {
    if (name == "text_projection.weight") continue;
    split[second + name] = tensor;
    if (name.find("_proj.") == name.npos || name.find("out_proj") != name.npos)
      renamed[second + name] = tensor;
  }
  for (int layer = 0; joined.contains(concat("transformer.resblocks.", layer, ".ln_1.weight")); ++layer)
    for (const char* kind : {"weight", "bias"})
      renamed[concat(second, "encoder.layers.", layer, ".self_attn.in_proj.", kind)] =
          joined.at(concat("transformer.resblocks.", layer, ".attn.in_proj_", kind));
  original.merge(openclip(texts_2, "conditioner.embedders.1.model."));

  SampleOptions asked = options();
  asked.steps = "3";
  asked.width = asked.height = 64;
  const std::string expected = bytes_of(latents_of(*backend_, infos({"of_gelu"}), asked));
  for (const auto& [name, tensors] :
       {std::pair{"original", original}, {"diffusers", diffusers}, {"renamed", renamed}, {"split", split}}) {
    write_safetensors(tiny()->path(concat(name, ".safetensors")), tensors, {});
    const auto models = infos({concat(name, ".safetensors")});
    EXPECT_EQ(models[0].condition.pooled_width, 96);
    EXPECT_EQ(bytes_of(latents_of(*backend_, models, asked)), expected) << name;
  }
}

// A run in batches: no picture depends on the prompts beside it.
TEST_F(Sdxl, APictureDoesNotDependOnTheOtherPrompts) {
  SampleOptions alone{.fractions = {0.5, 0.5}, .steps = "4", .prompts = {kPrompt}}, both = alone;
  both.prompts.push_back("a red bicycle, (oil painting:1.3)");
  for (int i = 0; i < 40; ++i) both.prompts.back() += " and a dog";  // more than one chunk
  const auto models = infos({"alone/ssd1b", "sdxl"});
  const Tensor a = latents_of(*backend_, models, alone), b = latents_of(*backend_, models, both);
  EXPECT_EQ(bytes_of(a), bytes_of(b.slice(0, 1)));
  EXPECT_NE(bytes_of(b.slice(0, 1)), bytes_of(b.slice(1, 2)));
}

// The first chunk is the text as a whole; weights leave it as it is.
TEST_F(Sdxl, ThePooledTextIsThatOfTheFirstChunk) {
  std::string longer = "a red bicycle";
  for (int i = 0; i < 40; ++i) longer += " and a dog";
  const auto texts = encode_texts(*backend_, infos({"sdxl"})[0],
                                  {"a red bicycle", "a (red:1.5) bicycle", longer, longer + " and a hen"}, 0,
                                  PromptStyle::webui);
  EXPECT_EQ(bytes_of(texts[0].pooled), bytes_of(texts[1].pooled));
  EXPECT_NE(bytes_of(texts[0].context), bytes_of(texts[1].context));
  EXPECT_EQ(texts[2].context.extent(0), 2 * 77);
  EXPECT_EQ(bytes_of(texts[2].pooled), bytes_of(texts[3].pooled));
}

// Models with the same text encoders share what these made of the prompts; fine-tunes have their own.
TEST_F(Sdxl, TextsAreEncodedOnceForEachSetOfEncoders) {
  const auto first = [&](const std::vector<ModelInfo>& models) {
    std::vector<Condition> conditions;
    ConditionOptions asked{.prompts = {kPrompt}, .sizes = {.original = {64, 64}, .target = {64, 64}}};
    asked.negatives.resize(models.size());
    for (const auto& maker : make_condition_makers(*backend_, models, asked))
      conditions.push_back(maker->condition(0));
    return conditions;
  };
  const auto shared = first(infos({"alone/ssd1b", "sdxl", "alone/vega"}));
  EXPECT_TRUE(is_same(shared[0], shared[1]));
  EXPECT_TRUE(is_same(shared[0], shared[2]));
  // In folders of their own, by links, as copies and changed.
  const auto linked = first(infos({"ssd1b", "sdxl"}));
  EXPECT_TRUE(is_same(linked[0], linked[1]));
  tiny()->pipeline("copied", "vega");
  fs::remove(tiny()->path("copied/text_encoder"));
  fs::copy(tiny()->path("text_encoder"), tiny()->path("copied/text_encoder"));
  const auto copied = first(infos({"copied", "sdxl"}));
  EXPECT_TRUE(is_same(copied[0], copied[1]));
  TinySdxl::Tensors tuned = TinySdxl::text("text");
  tuned.at("encoder.layers.0.mlp.fc1.weight").data<float>()[0] += 1;
  TinySdxl::component(tiny()->path("copied/text_encoder"), "text", "model.safetensors", tuned);
  const auto own = first(infos({"copied", "sdxl"}));
  EXPECT_FALSE(is_same(own[0], own[1]));
  EXPECT_TRUE(bytes_of(own[0].context) != bytes_of(own[1].context));
  EXPECT_TRUE(bytes_of(own[1].context) == bytes_of(shared[0].context));
}

TEST_F(Sdxl, SizesAreRecordedAndSaidAgain) {
  const auto models = infos({"alone/ssd1b", "sdxl"});
  const Said base = {{"model", {models[0].path, models[1].path}}, {"prompt", {"a"}}};
  const auto spec_of = [&](const Said& said) {
    return make_run_spec(models, parse_options(merged(base, said), models));
  };
  const auto identity = [](const RunSpec& spec, const char* name) {
    const Field& field = field_named(name);
    return field.identity(field, spec).dump();
  };
  const auto label = [&](const RunSpec& spec, const std::string& name) -> std::string {
    for (const auto& [one, value] : labelled(spec.options, spec, models))
      if (one == name) return value;
    return "";
  };
  const RunSpec open = spec_of({}), said = spec_of({{"original_size", {"2048x1024"}}, {"crop", {"3,5"}}});
  EXPECT_EQ(identity(open, "original_size"), "\"64x64\"");
  EXPECT_EQ(identity(spec_of({{"original_size", {"64x64"}}}), "original_size"), "\"64x64\"");
  EXPECT_EQ(identity(spec_of({{"width", {"96"}}}), "target_size"), "\"96x64\"");
  EXPECT_EQ(identity(said, "crop"), "\"3,5\"");
  EXPECT_EQ(label(said, "Original size"), "2048x1024");
  EXPECT_EQ(label(said, "Crop"), "3,5");
  EXPECT_EQ(label(open, "Original size"), "");
  // What was not said follows another size of the picture.
  const auto recorded = said_of(nlohmann::json::parse(to_json(said.options, false).dump()), "test");
  const RunSpec again = spec_of(merged(recorded, {{"width", {"96"}}}));
  EXPECT_EQ(again.sizes->original, (PixelSize{2048, 1024}));
  EXPECT_EQ(again.sizes->crop, (PixelPoint{3, 5}));
  EXPECT_EQ(again.sizes->target, (PixelSize{96, 64}));

  EXPECT_EQ(identity(open, "empty_prompt"), "[true,true]");
  EXPECT_EQ(identity(spec_of({{"empty_prompt", {"encode"}}}), "empty_prompt"), "[false,false]");
  EXPECT_EQ(identity(spec_of({{"stage", {"", "negative=b"}}}), "empty_prompt"), "[true,false]");
  EXPECT_EQ(label(spec_of({{"empty_prompt", {"encode"}}}), "Empty prompt"), "encode");
}

TEST_F(Sdxl, TheFolderSaysWhatNoNegativePromptIs) {
  tiny()->pipeline("encoding", "sdxl", "scheduler", {{"force_zeros_for_empty_prompt", false}});
  EXPECT_FALSE(infos({"encoding"})[0].condition.empty_is_zeros);
  EXPECT_TRUE(infos({"sdxl"})[0].condition.empty_is_zeros);
  EXPECT_FALSE(infos({"alone/vega", "encoding"})[0].condition.empty_is_zeros);
  SampleOptions asked = options();
  asked.negative_prompt.clear();
  EXPECT_LE(relative_error(latents_of(*backend_, infos({"encoding"}), asked), golden("sdxl/encoded.npy")),
            kTolerance);
}

// As a sweep asks: one engine, one encoding, every ratio.
TEST_F(Sdxl, OneEngineServesEveryRatio) {
  SampleOptions asked = options();
  asked.backend = {.dtype = "f32", .threads = 2};
  const auto models = infos({"ssd1b", "sdxl"});
  std::vector<RunSpec> specs;
  for (const double ratio : {0.0, 0.3, 0.5, 1.0}) {
    asked.fractions = {ratio, 1 - ratio};
    specs.push_back(make_run_spec(models, asked));
  }
  Engine engine(models, asked.backend);
  ASSERT_TRUE(engine.load(specs, false, [] { return false; }));
  size_t i = 0;
  for (const char* name : {"sdxl", "ssd1b_0.3", "ssd1b_0.5", "ssd1b"}) {
    const RunSpec& spec = specs[i++];
    const IndexRange all = {0, 1};
    KeepLatents keep(spec);
    RunObserver silent;
    engine.sample(spec, {&all, 1}, silent, nullptr, &keep);
    EXPECT_LE(relative_error(keep.latents(), golden(concat("sdxl/", name, ".npy"))), kTolerance) << name;
  }
}

TEST_F(Sdxl, EveryStageHasItsGuidance) {
  SampleOptions asked = options();
  const auto bytes = [&](const Texts& stages) {
    asked.stages.clear();
    for (const std::string& stage : stages) asked.stages.push_back(parse_stage(stage));
    return bytes_of(latents_of(*backend_, infos({"alone/ssd1b", "sdxl"}), asked));
  };
  EXPECT_NE(bytes({"share=0.5,cfg=9", ""}), bytes({"share=0.5", ""}));
  EXPECT_EQ(bytes({"share=0.5,cfg=5", "cfg=5"}), bytes({"share=0.5", ""}));
}

// Of the two text encoders one is there at a time.
TEST_F(Sdxl, MemoryIsCountedForTheLargestTextEncoder) {
  auto models = infos({"koala_700m"});
  const RunSpec spec = make_run_spec(models, options());
  models[0].architecture = std::make_shared<ToyArchitecture>();  // smaller than they
  const auto needed = [&](const std::vector<std::string>& encoders) {
    models[0].files.text_encoders = encoders;
    return memory_needed(models, std::vector(models.size(), true), spec, "").total();
  };
  const std::string one = tiny()->path("text_encoder"), two = tiny()->path("text_encoder_2");
  EXPECT_EQ(needed({one, two}), std::max(needed({one}), needed({two})));
  const int64_t counted = needed({two});
  int64_t in_layers = 0;
  for (const auto& [name, tensor] : TinySdxl::text("text_2"))
    if (name.starts_with("encoder.layers.")) in_layers += tensor.elements();
  EXPECT_EQ(counted - needed({}), size_of(compute_dtype(spec.options.backend)) * (in_layers - 8));

  // In a file of everything, too.
  TinySdxl::Tensors all;
  for (const auto& [name, tensor] : TinySdxl::unet("koala_700m")) all["unet." + name] = tensor;
  for (const auto& [name, tensor] : TinySdxl::text("text")) all["text_encoder.text_model." + name] = tensor;
  for (const auto& [name, tensor] : TinySdxl::text("text_2"))
    all["text_encoder_2.text_model." + name] = tensor;
  const std::string file = tiny()->path("counted.safetensors");
  write_safetensors(file, all, {});
  EXPECT_EQ(needed({file, file}), needed({one, two}));
}

// SSD-1B and SDXL at 1024 x 1024 with guidance: 7.3 GiB of weights, and what an evaluation needs.
TEST(SdxlMemory, ThePublishedPairFitsIntoTwelveGibibytes) {
  std::vector<ModelInfo> models;
  for (const char* preset : {"ssd1b", "sdxl"}) {
    ModelInfo& info = models.emplace_back();
    info.path = info.files.path = info.name = preset;
    info.condition = {.kind = ConditionKind::text, .width = 2048, .pooled_width = 1280};
    info.any_size = true;
    info.side = 128;
    info.architecture =
        std::make_shared<UNetArchitecture>(unet_preset(preset), "", 77, WeightChoice::automatic);
  }
  SampleOptions asked{.sampler = "euler", .prompts = {"a"}, .batch_size = 1};
  asked.backend.dtype = "bf16";
  const int64_t needed =
      memory_needed(models, std::vector(models.size(), true), make_run_spec(models, asked), "").total();
  EXPECT_GT(needed, int64_t{2} * (1'331'334'404 + 2'567'463'684));
  EXPECT_LT(needed, int64_t{12} << 30);
  RecordProperty("GiB", concat(static_cast<double>(needed) / (1 << 30)));
}

TEST_F(Sdxl, WhatDoesNotFitIsRefused) {
  auto models = infos({"sdxl"});
  const auto encode = [&] { encode_texts(*backend_, models[0], {"a"}, 0, PromptStyle::webui); };
  const std::vector<std::string> both = models[0].files.text_encoders;
  models[0].files.text_encoders = {both[0]};
  testing::expect_error(ErrorKind::input, "has text encoders: 1, expected 2", encode);
  models[0].files.text_encoders = {both[0], both[0]};
  testing::expect_error(ErrorKind::input, "text_projection.weight", encode);
  models[0].files.text_encoders = {both[1], both[1]};
  testing::expect_error(ErrorKind::input, "give 384 numbers a token, but sdxl reads 256", encode);
  models[0].files.text_encoders = both;
  models[0].condition.pooled_width = 95;
  testing::expect_error(ErrorKind::input, "give 96 numbers a text, but sdxl reads 95", encode);
  testing::expect_error(ErrorKind::usage, "a clip skip of 4",
                        [&] { encode_texts(*backend_, models[0], {"a"}, 4, PromptStyle::webui); });

  models = infos({"sdxl"});
  const Said base = {{"model", {models[0].path}}, {"prompt", {"a"}}};
  const auto refused = [&](const std::string& part, const Said& said) {
    testing::expect_error(ErrorKind::usage, part, [&] {
      const Said all = merged(base, said);
      check_effective(all, make_run_spec(models, parse_options(all, models)), models);
    });
  };
  refused("--original-size is \"64\", expected WIDTHxHEIGHT", {{"original_size", {"64"}}});
  refused("--original-size has 0, expected 1 ...", {{"original_size", {"0x64"}}});
  refused("--crop has -1, expected 0 ...", {{"crop", {"-1,0"}}});
  refused("--crop is \"3\", expected LEFT,TOP", {{"crop", {"3"}}});
  refused("--target-size", {{"target_size", {"64x1e9"}}});
  refused("--empty-prompt is \"ones\", expected zeros or encode", {{"empty_prompt", {"ones"}}});
  refused("every guided stage has a negative prompt",
          {{"empty_prompt", {"zeros"}}, {"negative_prompt", {"b"}}});
  refused("--cfg-scale is 1", {{"empty_prompt", {"zeros"}}, {"cfg_scale", {"1"}}});

  for (const char* score : {"aesthetic_score", "negative_aesthetic_score"})
    refused("it is for SDXL's refiner, and no model that serves a step is one", {{score, {"5"}}});

  models = infos({"refiner"});
  for (const char* score : {"aesthetic_score", "negative_aesthetic_score"})
    for (const char* value : {"-1", "11"})
      refused(concat("-score is ", value, ", expected 0 ... 10"),
              {{"model", {models[0].path}}, {score, {value}}});
  refused("it is for guidance, and the refiner has none",
          {{"model", {models[0].path}}, {"negative_aesthetic_score", {"2"}}, {"cfg_scale", {"1"}}});
  refused("a refiner is told a score instead", {{"model", {models[0].path}}, {"target_size", {"64x64"}}});
  models[0].condition.pooled_width = 0;
  for (const char* name : {"original_size", "crop", "target_size"})
    refused("it is for models that are told sizes (SDXL), and refiner is not",
            {{"model", {models[0].path}}, {name, {std::string(name) == "crop" ? "1,1" : "64x64"}}});

  TinySdxl::write(tiny()->path("playground/scheduler/scheduler_config.json"),
                  R"({"_class_name": "EDMDPMSolverMultistepScheduler"})");
  TinySdxl::write(tiny()->path("playground/model_index.json"),
                  R"({"_class_name": "StableDiffusionXLPipeline"})");
  fs::create_directory_symlink(tiny()->path("alone/sdxl"), tiny()->path("playground/unet"));
  testing::expect_error(ErrorKind::input, "Playground v2.5", [&] { infos({"playground"}); });
}

}  // namespace
}  // namespace tstitch
