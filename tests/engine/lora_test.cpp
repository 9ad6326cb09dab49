// LoRAs from file to final latents, against diffusers and PEFT (tools/goldens/make_lora_goldens.py): under
// every spelling of their names, alone and several, on stitched models and pruned ones; and what must be
// refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "on_tiny_sdxl.h"
#include "tests/support/expect_error.h"
#include "tstitch/engine/engine.h"
#include "tstitch/engine/fields.h"
#include "tstitch/engine/prompt_loras.h"
#include "tstitch/engine/report.h"
#include "tstitch/engine/take_loras.h"
#include "tstitch/io/checkpoint.h"
#include "tstitch/io/convert_to_gguf.h"
#include "tstitch/zoo/assets.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kSeed = 7;
constexpr int64_t kRank = 4;
constexpr float kAlpha = 2;
constexpr double kTolerance = 1e-4;  // relative, in f32

// A linear map or convolution and its change.
struct Change {
  std::string part, module;  // "unet" or "text_encoder", and diffusers' name in it
  Tensor down, up;
};

// The name of a module in a file, and the ends of the names of its tensors; with no alpha none is written.
struct Spelling {
  std::function<std::string(const Change&)> module;
  std::string down, up, alpha;
};

std::string replaced(std::string text, char from, char to) {
  std::ranges::replace(text, from, to);
  return text;
}

class LoraTest : public OnTinySdxl {
 protected:
  using Tensors = TinySdxl::Tensors;

  // As in the goldens' script.
  static std::vector<Change> changes(const std::string& tag, const std::string& part) {
    const bool unet = part == "unet";
    const Tensors weights =
        unet ? TinySdxl::unet("sdxl") : TinySdxl::text(part == "text_encoder" ? "text" : "text_2");
    std::vector<Change> all;
    for (const auto& [name, weight] : weights) {
      if (!name.ends_with(".weight") || weight.shape().rank() < 2 || (!unet && !name.starts_with("encoder.")))
        continue;
      const std::string module = name.substr(0, name.size() - 7);
      std::vector<int64_t> down(weight.shape().extents().begin(), weight.shape().extents().end()),
          up(down.size(), 1);
      up[0] = std::exchange(down[0], kRank);
      up[1] = kRank;
      const auto columns = static_cast<double>(weight.elements() / weight.extent(0));
      all.push_back({part, module,
                     random_uniform(concat(tag, "/", part, ".", module, ".down"), Shape(down),
                                    std::sqrt(3 / columns), kSeed),
                     random_uniform(concat(tag, "/", part, ".", module, ".up"), Shape(up), 1, kSeed)});
    }
    return all;
  }
  static std::vector<Change> of_all() {
    std::vector<Change> all;
    for (const char* part : {"unet", "text_encoder", "text_encoder_2"})
      for (Change& change : changes("a", part)) all.push_back(std::move(change));
    return all;
  }
  static std::vector<Change> of_attention() {
    std::vector<Change> all = changes("b", "unet");
    std::erase_if(all, [](const Change& c) { return c.module.find(".to_") == c.module.npos; });
    return all;
  }

  static Tensors tensors(const std::vector<Change>& changes, const Spelling& spelling) {
    Tensor alpha(Shape(), DType::f32);
    *alpha.data<float>() = kAlpha;
    Tensors stored;
    for (const Change& change : changes) {
      const std::string module = spelling.module(change);
      stored[module + spelling.down] = change.down;
      stored[module + spelling.up] = change.up;
      if (!spelling.alpha.empty()) stored[module + spelling.alpha] = alpha;
    }
    return stored;
  }

  static std::string write(const std::string& name, const Tensors& tensors,
                           const std::map<std::string, std::string>& metadata = {}) {
    const fs::path path = tiny()->path(name);
    fs::create_directories(path.parent_path());
    write_safetensors(path.string(), tensors, metadata);
    return path.string();
  }

  // The original code's name of a U-Net's module.
  static std::string original(const std::string& module) {
    static const nlohmann::json names = parse_json_file(golden_path("unet/sdxl_names.json"));
    std::string longest;
    for (const auto& [name, target] : names.items())
      if ((module == name || module.starts_with(name + ".")) && name.size() > longest.size()) longest = name;
    return names.at(longest).get<std::string>() + module.substr(longest.size());
  }

  static std::string kohya_prefix(const std::string& part) {
    return part == "unet"           ? "lora_unet_"
           : part == "text_encoder" ? "lora_te1_text_model_"
                                    : "lora_te2_text_model_";
  }
  static Spelling kohya() {
    return {[](const Change& c) { return kohya_prefix(c.part) + replaced(c.module, '.', '_'); },
            ".lora_down.weight", ".lora_up.weight", ".alpha"};
  }
  static Spelling kohya_original() {
    return {[](const Change& c) {
              return kohya_prefix(c.part) +
                     replaced(c.part == "unet" ? original(c.module) : c.module, '.', '_');
            },
            ".lora_down.weight", ".lora_up.weight", ".alpha"};
  }
  static Spelling diffusers(const std::string& down, const std::string& up,
                            const std::string& alpha = ".alpha") {
    return {[](const Change& c) { return concat(c.part, c.part == "unet" ? "." : ".text_model.", c.module); },
            down, up, alpha};
  }

  static SampleOptions options(const std::vector<LoraOption>& loras) {
    SampleOptions options{.steps = "10",
                          .prompts = {"a photograph of an astronaut riding a horse"},
                          .negative_prompt = "blurry"};
    options.loras = loras;
    options.given.initial = random_uniform("x_T", {1, 4, 8, 8}, std::sqrt(3.0), kSeed);
    return options;
  }

  Tensor latents_of(const std::vector<std::string>& names, const SampleOptions& asked) {
    std::vector<ModelInfo> models = infos(names);
    take_loras(asked, models);
    const RunSpec spec = make_run_spec(models, asked);
    std::vector<Model> loaded;
    for (const ModelInfo& info : models) loaded.push_back(load_model(info, *backend_));
    RunObserver silent;
    return run(*backend_, loaded, spec, silent,
               {.conditions = make_condition_makers(*backend_, models, spec)})
        .latents;
  }
  double error(const std::vector<std::string>& names, const SampleOptions& asked,
               const std::string& expected) {
    return relative_error(latents_of(names, asked), golden("lora/" + expected + ".npy"));
  }

  // How it fits the model.
  static Lora taken(const std::string& model, const std::string& path) {
    std::vector<ModelInfo> models = infos({model});
    take_loras(options({{path}}), models);
    return models[0].loras.at(0);
  }

  std::unique_ptr<Backend> backend_ = make_backend({.dtype = "f32", .threads = 2});
};

TEST_F(LoraTest, OfAllModulesItAgreesWithPeft) {
  for (const auto& [name, spelling] :
       {std::pair{"kohya", kohya()},
        {"original", kohya_original()},
        {"diffusers", diffusers(".lora.down.weight", ".lora.up.weight")},
        {"linear_layer", diffusers(".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight")},
        {"peft", diffusers(".lora_A.weight", ".lora_B.weight")},
        {"adapter", diffusers(".lora_A.default.weight", ".lora_B.default.weight")}}) {
    const std::string path = write(concat("spelled/", name, ".safetensors"), tensors(of_all(), spelling));
    EXPECT_LE(error({"sdxl"}, options({{path, 0.8}}), "a"), kTolerance) << name;
  }
}

TEST_F(LoraTest, PeftsAlphaMayStandBesideTheTensors) {
  const Tensors bare = tensors(of_all(), diffusers(".lora_A.weight", ".lora_B.weight", ""));
  const nlohmann::json said = {{"unet.lora_alpha", kAlpha},
                               {"unet.r", kRank},
                               {"text_encoder.lora_alpha", 100},
                               {"text_encoder.alpha_pattern",
                                {{"q_proj", kAlpha},
                                 {"k_proj", kAlpha},
                                 {"v_proj", kAlpha},
                                 {"out_proj", kAlpha},
                                 {"mlp.fc1", kAlpha},
                                 {"fc2", kAlpha}}},
                               {"text_encoder_2.lora_alpha", 1},  // 1 / sqrt(4) is 2 / 4
                               {"text_encoder_2.use_rslora", true}};
  const std::string path = write("metadata.safetensors", bare, {{"lora_adapter_metadata", said.dump()}});
  EXPECT_LE(error({"sdxl"}, options({{path, 0.8}}), "a"), kTolerance);

  const Spelling peft = {[](const Change& c) { return "base_model.model." + c.module; }, ".lora_A.weight",
                         ".lora_B.weight", ""};
  TinySdxl::write(tiny()->path("folder/adapter_config.json"),
                  nlohmann::json({{"lora_alpha", kAlpha}}).dump());
  const std::string adapter = write("folder/adapter_model.safetensors", tensors(of_attention(), peft));
  EXPECT_LE(error({"sdxl"}, options({{adapter}}), "b"), kTolerance);
}

TEST_F(LoraTest, OfAttentionItAgreesWithDiffusers) {
  const auto generic = [](const std::string& prefix) {
    return Spelling{[prefix](const Change& c) { return prefix + original(c.module); }, ".lora_A", ".lora_B",
                    ".alpha"};
  };
  for (const auto& [name, spelling] :
       {std::pair{"b", kohya_original()}, {"generic", generic("diffusion_model.")}, {"bare", generic("")}})
    EXPECT_LE(error({"sdxl"},
                    options({{write(concat(name, ".safetensors"), tensors(of_attention(), spelling))}}), "b"),
              kTolerance)
        << name;
  // The older attention processors have no alpha, which stands for a scale of 1 instead of 2 / 4.
  const Spelling processors = {[](const Change& c) {
                                 const size_t map = c.module.find(".to_");
                                 const std::string which = c.module.substr(map, 6);
                                 return concat("unet.", c.module.substr(0, map), ".processor",
                                               which == ".to_ou" ? ".to_out" : which.substr(0, 5));
                               },
                               "_lora.down.weight", "_lora.up.weight", ""};
  const std::string path = write("processors.safetensors", tensors(of_attention(), processors));
  EXPECT_LE(error({"sdxl"}, options({{path, 0.5}}), "b"), kTolerance);
}

TEST_F(LoraTest, SeveralAddUp) {
  const std::string a = write("a.safetensors", tensors(of_all(), kohya())),
                    b = write("b.safetensors", tensors(of_attention(), kohya()));
  EXPECT_LE(error({"sdxl"}, options({{a, 0.8}, {b, -0.5}}), "a_b"), kTolerance);
  const SampleOptions none = options({{a, 0}}), plain = options({});
  EXPECT_EQ(relative_error(latents_of({"sdxl"}, none), latents_of({"sdxl"}, plain)), 0);
}

TEST_F(LoraTest, AStageHasItsOwn) {
  const std::string b = write("b.safetensors", tensors(of_attention(), kohya_original()));
  SampleOptions asked = options({});
  asked.stages = {parse_stage("share=0.3"), parse_stage("lora=" + b + ":1")};
  settle_stages(asked, 2);
  EXPECT_LE(error({"ssd1b", "sdxl"}, asked, "stitched_b"), kTolerance);
  // It changes no text encoder: both stages read the same texts; with one that does they do not.
  const std::string a = write("a.safetensors", tensors(of_all(), kohya()));
  for (const auto& [path, alike] : {std::pair{b, true}, {a, false}}) {
    asked.stages[1] = parse_stage("lora=" + path);
    std::vector<ModelInfo> both = infos({"alone/ssd1b", "sdxl"});
    take_loras(asked, both);
    EXPECT_EQ(change_texts_alike(both[0].loras, both[1].loras), alike);
    const auto makers = make_condition_makers(*backend_, both, make_run_spec(both, asked));
    EXPECT_EQ(is_same(makers[0]->condition(0), makers[1]->condition(0)), alike);
  }
  // The same network with and without it is two.
  asked.stages[0] = {};
  std::vector<ModelInfo> models = infos({"sdxl", "sdxl"});
  take_loras(asked, models);
  EXPECT_FALSE(same_network(models[0], models[1]));
  Engine engine(models, asked.backend);
  const RunSpec spec = make_run_spec(models, asked);
  engine.load({&spec, 1}, false, [] { return false; });
  EXPECT_NE(engine.models()[0].network, engine.models()[1].network);
  // With one of weight 0 it is one.
  asked.stages[1] = parse_stage("lora=" + b + ":0");
  models = infos({"sdxl", "sdxl"});
  take_loras(asked, models);
  EXPECT_TRUE(same_network(models[0], models[1]));
}

TEST_F(LoraTest, AStageMayHaveNone) {
  const std::string b = write("b.safetensors", tensors(of_attention(), kohya_original()));
  SampleOptions asked = options({{b}});
  asked.stages = {parse_stage("lora=none"), parse_stage("")};
  std::vector<ModelInfo> models = infos({"sdxl", "sdxl"});
  take_loras(asked, models);
  EXPECT_TRUE(models[0].loras.empty());
  EXPECT_TRUE(models[0].refused_loras.empty());
  EXPECT_EQ(models[1].loras.size(), 1u);
  asked.loras.clear();
  testing::expect_error(ErrorKind::usage, "--stage 1: lora=none has no effect here: there is no --lora",
                        [&] { take_loras(asked, models); });
}

// What fits by structure, as it is merged where one knows which of SDXL's blocks are left.
TEST_F(LoraTest, OnAPrunedNetworkItChangesWhatIsLeft) {
  for (const auto& [name, spelling] : {std::pair{"kohya", kohya()}, {"original", kohya_original()}}) {
    const std::string path =
        write(concat("unet_", name, ".safetensors"), tensors(changes("a", "unet"), spelling));
    for (const auto& [model, changed] : {std::pair{"ssd1b", 198u}, {"koala_700m", 146u}}) {
      const LoraPart part = taken(model, path).parts.at({});
      EXPECT_EQ(part.modules.size(), changed) << model;
      EXPECT_EQ(part.without_home, 263 - static_cast<int64_t>(changed)) << model;
      EXPECT_LE(error({model}, options({{path}}), model), kTolerance) << model << ", " << name;
    }
  }
}

// Names that a pruned network has, too, in a file that was made for it.
TEST_F(LoraTest, OfAPrunedNetworkItself) {
  const std::string module = "up_blocks.0.attentions.1.transformer_blocks.0.attn1.to_q";
  const Tensors factors = {{"unet." + module + ".lora_A.weight", random_uniform("down", {2, 64}, 1, kSeed)},
                           {"unet." + module + ".lora_B.weight", random_uniform("up", {64, 2}, 1, kSeed)}};
  const LoraPart part = taken("koala_700m", write("own.safetensors", factors)).parts.at({});
  EXPECT_EQ(part.modules.begin()->first, module);
}

TEST_F(LoraTest, IsSaidAgainAndReported) {
  const std::string path = write("a.safetensors", tensors(of_all(), kohya_original()));
  const Said said = {{"model", {tiny()->path("alone/ssd1b"), tiny()->path("sdxl")}},
                     {"lora", {path + ":0.8"}},
                     {"prompt", {"a fox"}}};
  const SampleOptions models_asked = parse_models(said);
  const std::vector<ModelInfo> models = read_models(models_asked);
  const SampleOptions asked = parse_options(said, models);
  EXPECT_EQ(asked.loras, (std::vector<LoraOption>{{path, 0.8}}));
  EXPECT_EQ(said_of(to_json(asked, false), "here").at("lora"), said.at("lora"));
  const auto lines = describe_loras(models);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_NE(lines[0].find(
                "a x 0.8 on ssd1b: network 198 (and 65 without a home), text_encoder 18, text_encoder_2 18"),
            std::string::npos)
      << lines[0];
  EXPECT_NE(lines[1].find("network 263, text_encoder 18"), std::string::npos) << lines[1];
  EXPECT_EQ(
      describe_what_is_left_out(models),
      (std::vector<std::string>{"a x 0.8 on ssd1b is applied in part: network 198 (and 65 without a home), "
                                "text_encoder 18, text_encoder_2 18"}));
  const auto texts = png_text(make_run_spec(models, asked), models, 0);
  EXPECT_NE(texts[0].second.find("a fox <lora:a:0.8>"), std::string::npos) << texts[0].second;
  EXPECT_NE(texts[0].second.find("Lora hashes: \"a: " + models[0].loras[0].content), std::string::npos)
      << texts[0].second;
}

// What a picture says of files of one name keeps them apart, and holds only while they are what they were.
TEST_F(LoraTest, FilesOfOneNameAreToldApart) {
  const std::string one = write("one/fox.safetensors", tensors(of_attention(), kohya())),
                    two = write("two/fox.safetensors", tensors(of_all(), kohya()));
  const Said said = {
      {"model", {tiny()->path("sdxl")}}, {"lora", {one + ":1", two + ":1"}}, {"prompt", {"a"}}};
  const std::vector<ModelInfo> models = read_models(parse_models(said));
  const auto texts = png_text(make_run_spec(models, parse_options(said, models)), models, 0);
  EXPECT_NE(texts[0].second.find("a <lora:one/fox:1> <lora:two/fox:1>"), std::string::npos)
      << texts[0].second;
  EXPECT_NE(texts[0].second.find(concat("Lora hashes: \"one/fox: ", models[0].loras[0].content,
                                        ", two/fox: ", models[0].loras[1].content, "\"")),
            std::string::npos)
      << texts[0].second;

  const Said again = said_of(nlohmann::json::parse(texts[1].second), "here");
  EXPECT_NO_THROW(read_models(parse_models(again)));
  write("one/fox.safetensors", tensors(changes("b", "text_encoder"), kohya()));
  testing::expect_error(ErrorKind::input, "one/fox.safetensors\" is not what it was for that picture",
                        [&] { read_models(parse_models(again)); });
  // Who names it takes it as it is.
  EXPECT_NO_THROW(read_models(parse_models(merged(again, {{"lora", {one}}}))));
  Said of_stage = again;
  of_stage.erase("lora");
  EXPECT_NO_THROW(read_models(parse_models(merged(of_stage, {{"stage", {"lora=" + one}}}))));
  of_stage["stage"] = {"lora=" + one};
  for (const auto& [name, said_again] : Said{{"steps", {"3"}}, {"lora", {one}}})
    testing::expect_error(ErrorKind::input, "--stage 1: lora= \"" + one + "\" is not what it was", [&] {
      read_models(parse_models(merged(of_stage, {{name, said_again}})));
    });
  testing::expect_error(ErrorKind::input, "; name it again with --stage to take it as it is now",
                        [&] { read_models(parse_models(of_stage)); });
}

TEST(ShortNames, AreTheShortestThatTellApart) {
  using Names = std::map<std::string, std::string>;
  EXPECT_EQ(short_names({"a/fox.safetensors", "/b/owl.x.pt"}),
            (Names{{"a/fox.safetensors", "fox"}, {"/b/owl.x.pt", "owl.x"}}));
  EXPECT_EQ(short_names({"a/b/fox.pt", "c/b/fox.pt", "c/fox.pt", "fox.pt"}), (Names{{"a/b/fox.pt", "a/b/fox"},
                                                                                    {"c/b/fox.pt", "c/b/fox"},
                                                                                    {"c/fox.pt", "c/fox"},
                                                                                    {"fox.pt", "fox.pt"}}));
  EXPECT_EQ(short_names({"a/fox.pt", "a/fox.safetensors", "./a/fox.pt"}),
            (Names{{"a/fox.pt", "a/fox.pt"},
                   {"a/fox.safetensors", "a/fox.safetensors"},
                   {"./a/fox.pt", "./a/fox.pt"}}));
  EXPECT_TRUE(short_names({}).empty());
}

TEST_F(LoraTest, StagesAreCalledByShortNames) {
  const std::string folder(80, 'x');
  const std::string fox = write("one/" + folder + "/fox.safetensors", tensors(of_attention(), kohya())),
                    other = write("two/" + folder + "/fox.safetensors", tensors(of_all(), kohya())),
                    owl = write(folder + "/owl.safetensors", tensors(of_attention(), kohya()));
  const auto named = [&](const Texts& stages) {
    const Said said = {{"model", Texts(stages.size(), tiny()->path("sdxl"))}, {"stage", stages}};
    return names_of(read_models(parse_models(said)));
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(named({"lora=" + fox + ":0.8,cfg=3", "lora=" + owl, ""}),
            (Names{"sdxl [cfg=3,lora=fox:0.8]", "sdxl [lora=owl:1]", "sdxl"}));
  const Names apart = named({"lora=" + fox, "lora=" + other, "lora=" + fox, "lora=" + fox + ":0.5"});
  EXPECT_NE(apart[0], apart[1]);
  EXPECT_NE(apart[0], apart[3]);
  EXPECT_TRUE(apart[0].starts_with("sdxl [lora=one/xxx") && apart[0].ends_with("] #1")) << apart[0];
  EXPECT_TRUE(apart[1].starts_with("sdxl [lora=two/xxx") && apart[1].ends_with("]")) << apart[1];
}

TEST_F(LoraTest, ThreadsChangeNoBitOfWhatIsMerged) {
  const std::string path = write("threads.safetensors", tensors(of_all(), kohya()));
  std::vector<ModelInfo> models = infos({"sdxl"});
  take_loras(options({{path, 0.7}}), models);
  const TensorFile file = open_weights(models[0].files, WeightChoice::automatic);
  const auto weights = models[0].architecture->weights(file);
  const MergedWeights one(*weights, models[0].loras, 1), three(*weights, models[0].loras, 3);
  for (const auto& [name, tensor] : TinySdxl::unet("sdxl"))
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const Tensor a = one.load(name, tensor.shape(), dtype), b = three.load(name, tensor.shape(), dtype);
      EXPECT_EQ(std::memcmp(a.bytes(), b.bytes(), static_cast<size_t>(a.elements() * size_of(dtype))), 0)
          << name;
    }
}

TEST_F(LoraTest, PromptsNameThem) {
  const std::string folder = tiny()->path("loras");
  const std::string fox = write("loras/animals/fox.safetensors", tensors(of_attention(), kohya()));
  TinySdxl::write(folder + "/fox.txt", "what it is");
  const auto said = [&](const Texts& prompts) {
    return with_loras_of_prompts({{"prompt", prompts}, {"lora", {"first:1"}}, {"lora_dir", {folder}}});
  };
  const Said taken = said({"a <lora:fox:0.5>", "b<lora:fox:0.5>"});
  EXPECT_EQ(taken, (Said{{"prompt", {"a ", "b"}}, {"lora", {"first:1", fox + ":0.5"}}}));
  const Said unasked = {{"prompt", {"a <lora:fox:0.5>"}}};
  EXPECT_EQ(with_loras_of_prompts(unasked), unasked);
  testing::expect_error(ErrorKind::usage, "no prompt names a LoRA", [&] { said({"a"}); });
  // A plain prompt is taken as it stands, whoever says that it is plain.
  const Said plain = {{"prompt_style", {"plain"}}},
             asked = {{"prompt", {"<lora:fox>"}}, {"lora_dir", {folder}}};
  for (const auto& [now, before] : {std::pair{merged(plain, asked), Said()}, {asked, plain}})
    testing::expect_error(ErrorKind::usage, "--lora-dir has no effect here: with --prompt-style plain",
                          [&] { with_loras_of_prompts(now, before); });
  EXPECT_NO_THROW(with_loras_of_prompts(merged(asked, {{"prompt_style", {"webui"}}}), plain));
  testing::expect_error(ErrorKind::usage, "that of image 2 names others", [&] {
    said({"a <lora:fox>", "b"});
  });
  EXPECT_EQ(said({"a <lyco:fox:0.5>"}), (Said{{"prompt", {"a "}}, {"lora", {"first:1", fox + ":0.5"}}}));
  testing::expect_error(ErrorKind::usage, "LoRAs are named in prompts, not in negative ones", [&] {
    with_loras_of_prompts({{"prompt", {"a"}}, {"negative_prompt", {"<lora:fox>"}}, {"lora_dir", {folder}}});
  });
  // What is not there is a matter of files.
  testing::expect_error(ErrorKind::input, "the LoRA \"owl\", and there is no such file",
                        [&] { said({"<lora:owl>"}); });
  testing::expect_error(ErrorKind::input, "--lora-dir \"" + folder + "/none\" cannot be read", [&] {
    with_loras_of_prompts({{"prompt", {"<lora:fox>"}}, {"lora_dir", {folder + "/none"}}});
  });
  write("loras/fox.safetensors", tensors(of_attention(), kohya()));
  testing::expect_error(ErrorKind::usage, "of which there are 2", [&] { said({"<lora:fox>"}); });
}

TEST_F(LoraTest, WhatDoesNotFitIsRefusedByName) {
  const std::string module = "unet.mid_block.attentions.0.proj_in";  // (64, 64)
  const Tensor down = random_uniform("down", {2, 64}, 1, kSeed), up = random_uniform("up", {64, 2}, 1, kSeed);
  const Tensors whole = {{module + ".lora_A.weight", down}, {module + ".lora_B.weight", up}};
  const auto expect = [&](const std::string& part, const Tensors& more, const std::string& without = "") {
    Tensors tensors = whole;
    for (const auto& [name, tensor] : more) tensors[name] = tensor;
    tensors.erase(without);
    const std::string path = write("refused.safetensors", tensors);
    testing::expect_error(ErrorKind::input, part, [&] { taken("sdxl", path); });
  };
  expect("[LORA_KEY] tensor \"bundle_emb.fox\" is no part of a LoRA", {{"bundle_emb.fox", down}});
  expect("it has no module \"transformer.blocks.0\"", {{"transformer.blocks.0.lora_A.weight", down}});
  expect("are the same module, mid_block.attentions.0.proj_in",
         {{"lora_unet_middle_block_1_proj_in.lora_down.weight", down},
          {"lora_unet_middle_block_1_proj_in.lora_up.weight", up}});
  expect("[LORA_KEY] tensors \"", {{module + ".lora.down.weight", down}});
  expect("[LORA_FORM]", {}, module + ".lora_A.weight");
  expect("[LORA_KEY] tensor \"" + module + ".alpha\" has the shape [2, 64], expected one number",
         {{module + ".alpha", down}});
  expect("fits none of the models: sdxl: for \"mid_block.attentions.0.proj_in.weight\": tensor \"" + module +
             ".lora_A.weight\" is a matrix of 2 x 48, expected 2 x 64",
         {{module + ".lora_A.weight", random_uniform("x", {2, 48}, 1, kSeed)}});
  expect(".lora_B.weight\" is a matrix of 64 x 2049, expected 64 x 1 ... 2048",
         {{module + ".lora_A.weight", random_uniform("x", {2049, 64}, 1, kSeed)},
          {module + ".lora_B.weight", random_uniform("x", {64, 2049}, 1, kSeed)}});
  testing::expect_error(ErrorKind::usage, "has a weight of 1e+06, expected -100 ... 100",
                        [] { parse_lora("--lora", "a:1e6"); });
  for (const char* text : {"a.safetensors:abc", "a.gguf:", "b/a.pt:1,5", "a.pt:1e999"})
    testing::expect_error(ErrorKind::usage, concat("--lora \"", text, "\" has the weight \""),
                          [&] { parse_lora("--lora", text); });
  for (const char* text : {"C:/loras/a.pt", "a.pt:b.pt", "a:b"})
    EXPECT_EQ(parse_lora("--lora", text), (LoraOption{text, 1}));
  const std::string fits = write("fits.safetensors", whole);
  std::vector<ModelInfo> classes = read_model_infos(builtin_models());
  testing::expect_error(ErrorKind::input, "fits none of the models: fashion-s: it is a DiT",
                        [&] { take_loras(options({{fits}}), classes); });
  SampleOptions of_stage = options({{fits}});
  of_stage.stages = {parse_stage("lora=" + fits)};
  std::vector<ModelInfo> one = infos({"sdxl"});
  testing::expect_error(ErrorKind::usage, "--lora has no effect here: every --stage says its own lora=", [&] {
    take_loras(of_stage, one);
  });
  // The one that it fits has its own.
  of_stage.stages = {{}, parse_stage("lora=" + fits)};
  std::vector<ModelInfo> two = {read_model_infos(builtin_models())[0], one[0]};
  testing::expect_error(ErrorKind::usage,
                        "has no effect here: it fits sdxl, whose --stage says lora=, which stands",
                        [&] { take_loras(of_stage, two); });
  // One that fits only one of the models is taken there.
  const std::string of_sdxl = write("sdxl_only.safetensors", tensors(of_attention(), kohya()));
  std::vector<ModelInfo> models = infos({"refiner", "sdxl"});
  take_loras(options({{of_sdxl}}), models);
  EXPECT_EQ(models[0].loras.size(), 0u);
  EXPECT_EQ(models[1].loras.size(), 1u);
  // ... and said of the other.
  ASSERT_EQ(models[0].refused_loras.size(), 1u);
  EXPECT_EQ(models[1].refused_loras.size(), 0u);
  EXPECT_NE(models[0].refused_loras[0].obstacle.find(".lora_down.weight\" is a matrix of 4 x "),
            std::string::npos);
  const std::vector<std::string> lines = describe_what_is_left_out(models);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0], "sdxl_only x 1 on refiner is not applied: " + models[0].refused_loras[0].obstacle);
}

TEST_F(LoraTest, OneOfModelsThatServeNoStepIsRefused) {
  const std::string path = write("serves.safetensors", tensors(of_attention(), kohya()));
  const auto check_of = [&](SampleOptions asked, const std::vector<double>& fractions) {
    asked.fractions = fractions;
    std::vector<ModelInfo> models = infos({"refiner", "sdxl"});
    take_loras(asked, models);
    check_loras_serve(make_run_spec(models, asked), models);
  };
  const SampleOptions of_run = options({{path}});  // SDXL's
  EXPECT_NO_THROW(check_of(of_run, {0.5, 0.5}));
  testing::expect_error(ErrorKind::usage, "no model that takes it serves a step", [&] {
    check_of(of_run, {1, 0});
  });
  SampleOptions of_stage = options({});
  of_stage.stages = {{}, parse_stage("lora=" + path)};
  EXPECT_NO_THROW(check_of(of_stage, {0.5, 0.5}));
  testing::expect_error(ErrorKind::usage, "--stage 2: lora= has no effect here", [&] {
    check_of(of_stage, {1, 0});
  });
}

// What a file is its content says, and GGUF is one of them.
TEST_F(LoraTest, MayBeAGgufFile) {
  const std::string module = "lora_unet_mid_block_attentions_0_proj_in";
  const std::string path =
      write("alone.safetensors", {{module + ".lora_down.weight", random_uniform("a", {2, 64}, 1, kSeed)},
                                  {module + ".lora_up.weight", random_uniform("b", {64, 2}, 1, kSeed)}});
  const std::string gguf = tiny()->path("loras_gguf/alone.gguf");
  fs::create_directories(fs::path(gguf).parent_path());
  ASSERT_TRUE(convert_to_gguf(open_checkpoint(path), gguf, "F32", [] { return true; }));
  const Tensor expected = latents_of({"sdxl"}, options({{path}}));
  EXPECT_EQ(relative_error(latents_of({"sdxl"}, options({{gguf}})), expected), 0);
  EXPECT_GT(relative_error(latents_of({"sdxl"}, options({})), expected), 1e-3);
  EXPECT_EQ(
      with_loras_of_prompts({{"prompt", {"a <lora:alone:1>"}}, {"lora_dir", {tiny()->path("loras_gguf")}}}),
      (Said{{"prompt", {"a "}}, {"lora", {gguf + ":1"}}}));
}

// The file that is broken is the LoRA's, not the model's.
TEST_F(LoraTest, WithNanIsNamedItself) {
  for (const std::string part :
       {"unet.mid_block.attentions.0.proj_in", "text_encoder.text_model.encoder.layers.0.self_attn.q_proj"}) {
    const std::vector<Change> all = of_all();
    const auto change = std::ranges::find_if(
        all, [&](const Change& c) { return part.starts_with(c.part + ".") && part.ends_with(c.module); });
    ASSERT_NE(change, all.end());
    Tensor down(change->down.shape(), DType::f32);
    std::copy_n(change->down.data<float>(), down.elements(), down.data<float>());
    *down.data<float>() = std::numeric_limits<float>::quiet_NaN();
    const std::string path =
        write("nan.safetensors", {{part + ".lora_A.weight", down}, {part + ".lora_B.weight", change->up}});
    try {
      latents_of({"sdxl"}, options({{path}}));
      ADD_FAILURE() << part;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      EXPECT_EQ(std::string(error.what()).find(path + ": [MODEL_NONFINITE]"), 0u) << error.what();
    }
  }
}

TEST_F(LoraTest, AWeightThatBecomesInfiniteIsRefused) {
  const std::string module = "unet.mid_block.attentions.0.proj_in";
  Tensor alpha({1}, DType::f32);
  *alpha.data<float>() = 3e38f;
  const std::string path =
      write("infinite.safetensors", {{module + ".lora_A.weight", random_uniform("a", {2, 64}, 9, 7)},
                                     {module + ".lora_B.weight", random_uniform("b", {64, 2}, 9, 7)},
                                     {module + ".alpha", alpha}});
  testing::expect_error(ErrorKind::input, "infinite.safetensors: [MODEL_NONFINITE]",
                        [&] { latents_of({"sdxl"}, options({{path}})); });
}

}  // namespace
}  // namespace tstitch
