// Textual inversion from file to final latents, against diffusers (tools/goldens/make_embedding_goldens.py);
// how it is asked for and recorded; and what must be refused.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "on_tiny_sdxl.h"
#include "tests/engine/tiny_sd.h"
#include "tests/support/expect_error.h"
#include "tstitch/condition/text_encoder.h"
#include "tstitch/engine/engine.h"
#include "tstitch/engine/fields.h"
#include "tstitch/engine/report.h"
#include "tstitch/io/checkpoint.h"
#include "tstitch/io/convert_to_gguf.h"

namespace tstitch {
namespace {

constexpr double kTolerance = 1e-4;  // relative, in f32
constexpr const char *kFoxPrompt = "a photograph of <fox> riding a horse", *kSmudged = "blurry <smudge>";

std::string file(const std::string& name) { return golden_path("embedding/" + name); }

// Every `stride`-th row.
Tensor rows_of(const Tensor& x, int64_t stride) {
  Tensor rows({(x.extent(0) + stride - 1) / stride, x.columns()}, DType::f32);
  for (int64_t i = 0; i < rows.extent(0); ++i)
    std::copy_n(x.data<float>() + stride * i * x.columns(), x.columns(),
                rows.data<float>() + i * x.columns());
  return rows;
}

class EmbeddingOfSd : public StableDiffusion {
 protected:
  std::vector<ModelInfo> large() const { return read_model_infos({(folder() / "large").string()}); }
  SampleOptions asked(const std::vector<EmbeddingOption>& embeddings) const {
    SampleOptions asked = options("pndm", 0);
    asked.fractions = {1};
    asked.prompts = {kFoxPrompt};
    asked.negative_prompt = kSmudged;
    asked.embeddings = embeddings;
    return asked;
  }
  std::unique_ptr<Backend> backend_ = make_backend({.dtype = "f32", .threads = 2});
};

TEST_F(EmbeddingOfSd, OfEveryFormAgreesWithDiffusers) {
  for (const char* fox : {"fox_webui.pt", "fox_parameters.pt", "fox_diffusers.bin",
                          "fox_diffusers.safetensors", "fox_kohya.safetensors"})
    EXPECT_LE(
        relative_error(latents_of(*backend_, large(), asked({{file(fox), "<fox>"}, {file("smudge.bin")}})),
                       golden("embedding/sd.npy")),
        kTolerance)
        << fox;
  const std::vector<Embedding> one = {Embedding(file("fox_diffusers.bin"), "")};
  const Tensor context =
      encode_texts(*backend_, large()[0], {kFoxPrompt}, 0, PromptStyle::plain, 0, one).at(0).context;
  EXPECT_LE(relative_error(context, golden("embedding/sd_context.npy")), 1e-5);
  // With a weight of 1 it is the same, with another it is not.
  const auto weighted = [&](const char* prompt) {
    return relative_error(
        encode_texts(*backend_, large()[0], {prompt}, 0, PromptStyle::webui, 0, one).at(0).context, context);
  };
  EXPECT_EQ(weighted("a photograph of (<FOX>:1) riding a horse"), 0);
  EXPECT_GT(weighted("a photograph of (<fox>:1.2) riding a horse"), 1e-3);
}

TEST_F(EmbeddingOfSd, OfAFolderIsFoundByItsName) {
  const fs::path words = folder() / "words";
  fs::create_directories(words / "animals");
  fs::copy_file(file("fox_kohya.safetensors"), words / "animals/<fox>.safetensors",
                fs::copy_options::overwrite_existing);
  fs::copy_file(file("smudge.bin"), words / "<smudge>.bin", fs::copy_options::overwrite_existing);
  fs::copy_file(file("sdxl_fox.pt"), words / "unused.pt", fs::copy_options::overwrite_existing);
  SampleOptions options = asked({});
  options.embedding_dir = words.string();
  EXPECT_LE(relative_error(latents_of(*backend_, large(), options), golden("embedding/sd.npy")), kTolerance);

  // What is recorded says the files, and nothing of the folder.
  const RunSpec spec = make_run_spec(large(), options);
  EXPECT_EQ(spec.idle_embedding_dir, "");
  const nlohmann::json recorded = to_json(spec.options, false);
  EXPECT_EQ(recorded["embedding"], (nlohmann::json{(words / "animals/<fox>.safetensors").string() + ":<fox>",
                                                   (words / "<smudge>.bin").string() + ":<smudge>"}));
  EXPECT_FALSE(recorded.contains("embedding_dir"));
  SampleOptions again = asked({});
  const Said said = said_of({{"embedding", recorded["embedding"]}}, "here");
  for (const std::string& text : said.at("embedding"))
    again.embeddings.push_back(parse_embedding("--embedding", text));
  EXPECT_EQ(make_run_spec(large(), again).options.embeddings, spec.options.embeddings);

  // Two of one name are an obstacle once they are named, and what is said with a path goes before.
  fs::copy_file(file("smudge.bin"), words / "animals/<smudge>.bin", fs::copy_options::overwrite_existing);
  testing::expect_error(ErrorKind::usage, "a prompt names the embedding \"<smudge>\", of which there are 2",
                        [&] { make_run_spec(large(), options); });
  options.embeddings = {{file("smudge.bin")}};
  EXPECT_EQ(make_run_spec(large(), options).embeddings.size(), 2u);
  options.embedding_dir = (folder() / "missing").string();
  testing::expect_error(ErrorKind::input, "--embedding-dir \"", [&] { make_run_spec(large(), options); });
}

TEST_F(EmbeddingOfSd, IsReported) {
  const RunSpec spec = make_run_spec(large(), asked({{file("fox_webui.pt"), "<fox>"}, {file("smudge.bin")}}));
  EXPECT_EQ(describe_embeddings(spec),
            (std::vector<std::string>{"<fox>: 3 vectors", "smudge, <smudge>: 1 vector"}));
  const auto texts = png_text(spec, large(), 0);
  EXPECT_NE(texts[0].second.find(concat("TI hashes: \"<fox>: ", spec.embeddings[0].content(),
                                        ", smudge: ", spec.embeddings[1].content(), "\"")),
            std::string::npos)
      << texts[0].second;
}

TEST_F(EmbeddingOfSd, WithoutEffectIsRefusedByName) {
  SampleOptions options = asked({{file("fox_webui.pt")}, {file("smudge.bin")}});  // the prompt says "<fox>"
  const std::vector<ModelInfo> models = large();
  const auto expect = [&](const char* field, const std::string& message) {
    testing::expect_error(ErrorKind::usage, message, [&] {
      check_effective({{field, {""}}}, make_run_spec(models, options), models);
    });
  };
  expect("embedding", "--embedding has no effect here: no prompt of a model that is used names \"" +
                          file("fox_webui.pt") + "\"");
  options = asked({{file("smudge.bin")}});
  options.cfg_scale = 1;  // nobody reads the negative prompt
  expect("embedding", "names \"" + file("smudge.bin") + "\"");
  options = asked({});
  options.embedding_dir = (folder() / "large").string();
  expect("embedding_dir",
         "--embedding-dir has no effect here: no prompt of a model that is used names a file in");
}

// Who named it all the same is told what became of it.
TEST_F(EmbeddingOfSd, ThatIsNamedElsewhereIsSaidSo) {
  const fs::path words = folder() / "more_words";
  fs::create_directories(words);
  fs::copy_file(file("smudge.bin"), words / "<fox>.bin", fs::copy_options::overwrite_existing);
  const EmbeddingOption fox = {file("fox_webui.pt"), "<fox>"}, smudge = {file("smudge.bin")};
  const std::vector<ModelInfo> models = large();
  const auto expect = [&](const char* field, const std::string& message, const SampleOptions& options) {
    testing::expect_error(ErrorKind::usage, message, [&] {
      check_effective({{field, {""}}}, make_run_spec(models, options), models);
    });
  };
  expect("embedding", "--embedding has no effect here: \"" + fox.path + "\" is given twice",
         asked({fox, smudge, fox}));
  SampleOptions both = asked({fox, smudge});
  both.embedding_dir = words.string();
  expect("embedding_dir",
         "--embedding-dir has no effect here: \"<fox>\", which a prompt names, is given with --embedding as "
         "well",
         both);
}

TEST_F(EmbeddingOfSd, MayBeAGgufFile) {
  const std::string gguf = (folder() / "fox.gguf").string();
  ASSERT_TRUE(
      convert_to_gguf(open_checkpoint(file("fox_kohya.safetensors")), gguf, "F32", [] { return true; }));
  EXPECT_LE(relative_error(latents_of(*backend_, large(), asked({{gguf, "<fox>"}, {file("smudge.bin")}})),
                           golden("embedding/sd.npy")),
            kTolerance);
}

TEST_F(EmbeddingOfSd, ThatHasChangedIsNoticed) {
  const std::string path = (folder() / "changing.safetensors").string();
  const auto become = [&](const char* name) {
    fs::copy_file(file(name), path, fs::copy_options::overwrite_existing);
  };
  become("fox_kohya.safetensors");
  const EmbeddingOption fox = {path, "<fox>"}, smudge = {file("smudge.bin")};
  const RunSpec spec = make_run_spec(large(), asked({fox, smudge}));
  ASSERT_EQ(spec.options.contents.size(), 2u);
  EXPECT_EQ(spec.options.contents[0],
            (FileContent{"embedding", path, "crc32 " + spec.embeddings[0].content()}));
  EXPECT_NO_THROW(make_run_spec(large(), spec.options));
  become("fox_diffusers.safetensors");
  testing::expect_error(ErrorKind::input,
                        "--embedding \"" + path + "\" is not what it was for that picture: it holds crc32 ",
                        [&] { make_run_spec(large(), spec.options); });
}

TEST_F(EmbeddingOfSd, ThatDoesNotFitIsRefusedWhereAPromptNamesIt) {
  testing::expect_error(
      ErrorKind::input,
      "sdxl_fox.pt\", which a prompt names \"<fox>\", does not fit large: it has vectors for SDXL's two text"
      " encoders, and the model has 1",
      [&] {
        make_run_spec(large(), asked({{file("sdxl_fox.pt"), "<fox>"}}));
      });
  for (const auto& [text, path, name] : {std::tuple{"a.pt:fox", "a.pt", "fox"},
                                         {"a.pt", "a.pt", ""},
                                         {"C:/words/a.pt", "C:/words/a.pt", ""},
                                         {"a:b.pt:<fox>", "a:b.pt", "<fox>"}}) {
    EXPECT_EQ(parse_embedding("--embedding", text), (EmbeddingOption{path, name}));
    EXPECT_EQ(to_string(EmbeddingOption{path, name}), text);
  }
  for (const char* text : {"", ":fox", "a.pt:", "a.pt: "})
    testing::expect_error(ErrorKind::usage, "expected PATH or PATH:NAME",
                          [&] { parse_embedding("--embedding", text); });
}

class EmbeddingOfSdxl : public OnTinySdxl {
 protected:
  static SampleOptions asked() {
    SampleOptions asked{.steps = "10", .prompts = {kFoxPrompt}, .negative_prompt = kSmudged};
    asked.fractions = {0.5, 0.5};
    asked.embeddings = {{file("sdxl_fox.safetensors"), "<fox>"},
                        {file("sdxl_smudge.safetensors"), "<smudge>"}};
    asked.given.initial = random_uniform("x_T", {1, 4, 8, 8}, std::sqrt(3.0), kSeed);
    return asked;
  }
  std::unique_ptr<Backend> backend_ = make_backend({.dtype = "f32", .threads = 2});
};

TEST_F(EmbeddingOfSdxl, OfBothEncodersAgreesWithDiffusers) {
  const std::vector<ModelInfo> models = infos({"ssd1b", "sdxl"});
  const EncodedText text = encode_texts(*backend_, models[1], {kFoxPrompt}, 0, PromptStyle::plain, 0,
                                        {Embedding(file("sdxl_fox.pt"), "<fox>")})
                               .at(0);
  EXPECT_LE(relative_error(rows_of(text.context, 4), golden("embedding/sdxl_context.npy")), 1e-5);
  EXPECT_LE(relative_error(text.pooled, golden("embedding/sdxl_pooled.npy")), 1e-5);
  const RunSpec spec = make_run_spec(models, asked());
  std::vector<Model> loaded;
  for (const ModelInfo& info : models) loaded.push_back(load_model(info, *backend_));
  RunObserver silent;
  EXPECT_LE(relative_error(run(*backend_, loaded, spec, silent).latents, golden("embedding/ssd1b_0.5.npy")),
            kTolerance);
}

// A stage's own negative prompt is read by its model alone.
TEST_F(EmbeddingOfSdxl, WhoDoesNotNameItNeedNotReadIt) {
  const std::vector<ModelInfo> models = infos({"ssd1b", "sdxl"});
  SampleOptions options = asked();
  options.embeddings[1] = {file("smudge.bin"), "<smudge>"};
  const std::string message = "does not fit ssd1b: it has vectors for one text encoder, and the model has 2";
  testing::expect_error(ErrorKind::input, message, [&] { make_run_spec(models, options); });
  options.stages = {parse_stage("negative=x"), parse_stage("negative=y")};
  EXPECT_EQ(make_run_spec(models, options).embeddings.size(), 1u);
  options.stages[1] = parse_stage("negative=a <smudge>");
  testing::expect_error(ErrorKind::input, "does not fit sdxl", [&] { make_run_spec(models, options); });
  options.fractions = {1, 0};  // nobody is asked in that stage
  EXPECT_EQ(make_run_spec(models, options).embeddings.size(), 1u);
}

// Which models serve, and so which words are known, differs between the points of a sweep: what the first
// needs is not all that is encoded.
TEST_F(EmbeddingOfSdxl, APointOfASweepHasItsOwn) {
  const std::vector<ModelInfo> models = infos({"ssd1b", "sdxl"});
  SampleOptions options = asked();
  options.stages = {parse_stage("negative=x"), parse_stage("negative=a <smudge>")};
  std::vector<RunSpec> specs;
  for (const double small : {1, 0}) {
    options.fractions = {small, 1 - small};
    specs.push_back(make_run_spec(models, options));
  }
  ASSERT_EQ(specs[0].embeddings.size(), 1u);
  ASSERT_EQ(specs[1].embeddings.size(), 2u);
  const auto null_of_last = [&](std::span<const RunSpec> loaded) {
    Engine engine(models, {.dtype = "f32", .threads = 2});
    engine.load(loaded, false, [] { return false; });
    return engine.inputs().conditions[1]->null(0).context;
  };
  EXPECT_EQ(relative_error(null_of_last(specs), null_of_last({&specs[1], 1})), 0);
  RunSpec without = specs[1];
  without.embeddings.pop_back();
  EXPECT_GT(relative_error(null_of_last({&without, 1}), null_of_last({&specs[1], 1})), 1e-3);
}

}  // namespace
}  // namespace tstitch
