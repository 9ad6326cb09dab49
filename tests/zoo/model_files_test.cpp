#include "tstitch/zoo/model_files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/io/io_support.h"
#include "tests/support/expect_error.h"
#include "tests/support/golden.h"
#include "tstitch/base/error.h"
#include "tstitch/engine/run.h"
#include "tstitch/engine/run_spec.h"
#include "tstitch/io/safetensors.h"
#include "tstitch/io/sharded_checkpoint.h"
#include "tstitch/nn/random_weights.h"
#include "tstitch/ops/ops.h"
#include "tstitch/zoo/families/dit.h"
#include "tstitch/zoo/latents.h"
#include "tstitch/zoo/model.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(TSTITCH_SOURCE_DIR) / "tests/golden/dit_pipeline";

// A copy of the folder that diffusers saved, to be broken.
class ModelFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("tstitch_model_files_" + std::to_string(getpid()));
    fs::remove_all(folder_);
    fs::copy(kGolden, folder_, fs::copy_options::recursive);
  }
  void TearDown() override { fs::remove_all(folder_); }

  void write(const fs::path& name, const std::string& text) const { std::ofstream(folder_ / name) << text; }
  std::string read(const fs::path& name) const {
    std::ifstream file(folder_ / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void replace(const fs::path& name, const std::string& from, const std::string& to) const {
    std::string text = read(name);
    const size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    write(name, text.replace(at, from.size(), to));
  }

  void expect_refused(const std::string& part) const {
    try {
      load_model(read_model_info(folder_.string()), *make_backend({.dtype = "f32"}));
      ADD_FAILURE() << "accepted, expected " << part;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::input) << e.what();
      EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
    }
  }

  fs::path folder_;
};

TEST_F(ModelFilesTest, AFolderOfDiffusersAnswersAsDiffusers) {
  const auto backend = make_backend({.dtype = "f32"});
  for (const fs::path& path : {folder_, folder_ / "transformer"}) {
    const Model model = load_model(read_model_info(path.string()), *backend);
    const auto two = model.network->bind({.class_number = 2}, 8, 8),
               three = model.network->bind({.class_number = 3}, 8, 8);
    const Row rows[] = {{.t = 501, .condition = two.get()}, {.t = 501, .condition = three.get()}};
    const Tensor x = to_channels_last(*backend, backend->upload(golden("dit_pipeline/x.npy")));
    const Tensor out = backend->download(to_channels_first(*backend, model.network->evaluate(x, rows)));
    EXPECT_LE(relative_error(out, golden("dit_pipeline/forward.npy")), 1e-5);
  }
}

TEST_F(ModelFilesTest, TheFolderSaysWhatTheModelIs) {
  const ModelInfo info = read_model_info(folder_.string() + "/");
  EXPECT_EQ(info.name, folder_.filename());
  EXPECT_EQ(dynamic_cast<const DiTArchitecture&>(*info.architecture).config(),
            (DiTConfig{.input_size = 8,
                       .patch_size = 2,
                       .in_channels = 4,
                       .hidden_size = 16,
                       .depth = 2,
                       .num_heads = 2,
                       .num_classes = 3,
                       .learn_sigma = true}));
  EXPECT_EQ(info.noise, TrainingNoise{});
  EXPECT_EQ(info.classes, (std::vector<std::string>{"tench, Tinca tinca", "goldfish", "crane"}));
  EXPECT_EQ(info.files.vae, (folder_ / "vae").string());
  EXPECT_FALSE(info.pixels);
}

TEST_F(ModelFilesTest, TheScheduleComesFromTheScheduler) {
  write(
      "scheduler/scheduler_config.json",
      R"({"beta_schedule": "scaled_linear", "beta_start": 0.0015, "beta_end": 0.0195, "num_train_timesteps": 500})");
  EXPECT_EQ(read_model_info(folder_.string()).noise,
            (TrainingNoise{"scaled_linear", 0.0015, 0.0195, 1, 500}));
}

TEST_F(ModelFilesTest, BrokenFoldersAreRefused) {
  replace("model_index.json", "DiTPipeline", "FluxPipeline");
  expect_refused(
      "[DF_CLASS] \"_class_name\" is \"FluxPipeline\", expected one of \"StableDiffusionPipeline\", ");
  write("model_index.json", "[]");
  expect_refused("DF_CLASS");
  write("model_index.json", R"({"_class_name": 3})");
  expect_refused("DF_CLASS");
  write("model_index.json", "{,}");
  expect_refused("JSON_SYNTAX");
  fs::remove(folder_ / "model_index.json");
  expect_refused(
      "[DF_LAYOUT] no model_index.json and no weights in this folder; looked for "
      "diffusion_pytorch_model.safetensors");
}

// diffusers' variants, where there is nothing else; names of indices come in two spellings.
TEST_F(ModelFilesTest, VariantsAreTakenForWantOfOthers) {
  const fs::path folder = folder_ / "transformer";
  const std::string plain = "diffusion_pytorch_model.safetensors.index.json";
  EXPECT_EQ(find_weights(folder.string()), folder / plain);
  for (const char* variant : {"diffusion_pytorch_model.safetensors.index.non_ema.json",
                              "diffusion_pytorch_model.safetensors.bf16.index.json",
                              "diffusion_pytorch_model.safetensors.index.fp16.json"}) {
    fs::copy(folder / plain, folder / variant);
    EXPECT_EQ(find_weights(folder.string()), folder / plain);
    EXPECT_TRUE(is_shard_index(variant));
  }
  fs::remove(folder / plain);
  const ModelInfo info = read_model_info(folder_.string());
  EXPECT_EQ(info.files.weights, folder / "diffusion_pytorch_model.safetensors.index.fp16.json");
  EXPECT_NO_THROW(load_model(info, *make_backend({.dtype = "f32"})));

  const fs::path single = folder_ / "single";
  fs::create_directory(single);
  for (const char* name : {"model.non_ema.safetensors", "model.fp16.safetensors", "pytorch_model.bin"}) {
    std::ofstream(single / name) << "x";
    EXPECT_EQ(find_weights(single.string()), single / name);
  }
  EXPECT_FALSE(is_shard_index("index.json.safetensors") || is_shard_index("config.json"));
}

// What networks say of tensors, they say of a file.
TEST_F(ModelFilesTest, MessagesNameTheFile) {
  const std::string path = (folder_ / "other.safetensors").string();
  write_safetensors(path, {{"x", random_uniform("x", {3}, 1, 7)}}, {});
  testing::expect_error(ErrorKind::input, path, [&] { read_model_info(path); });
  const ModelInfo info = read_model_info(folder_.string());
  testing::expect_error(ErrorKind::input, path + ": not an autoencoder",
                        [&] { load_decoder(*make_backend({.dtype = "f32"}), path, info); });
}

TEST_F(ModelFilesTest, AFolderThatCannotBeSearchedIsSaidSo) {
  const fs::perms before = fs::status(folder_).permissions();
  fs::permissions(folder_, fs::perms::none);
  {
    const AsOrdinaryUser user;
    expect_refused("[IO_PERMISSION] a folder that cannot be searched: Permission denied");
  }
  fs::permissions(folder_, before);
}

TEST_F(ModelFilesTest, AMissingComponentIsNamed) {
  fs::rename(folder_ / "transformer", folder_ / "transformer2");
  expect_refused("[DF_LAYOUT] no folder \"transformer\"");
}

TEST_F(ModelFilesTest, BrokenConfigurationsAreRefused) {
  const fs::path config = "transformer/config.json";
  const std::string good = read(config);
  const auto refused = [&](const std::string& from, const std::string& to, const std::string& part) {
    write(config, good);
    replace(config, from, to);
    expect_refused(part);
  };
  refused("\"in_channels\": 4", "\"in_channels\": \"4\"", "\"in_channels\" is \"4\", expected an integer");
  refused("\"in_channels\": 4", "\"in_channels\": 4.5", "\"in_channels\" is 4.5");
  refused("\"num_attention_heads\": 2", "\"num_attention_heads\": 0", "\"num_attention_heads\" is 0");
  refused("\"patch_size\": 2", "\"patch_size\": 3", "do not divide into patches of 3");
  refused("\"num_layers\": 2", "\"num_layers\": 1000000", "\"num_layers\" is 1000000");
  refused("\"out_channels\": 8", "\"out_channels\": 7", "\"out_channels\" is 7, expected 4 or 8");
  refused("ada_norm_zero", "layer_norm", "\"norm_type\" is \"layer_norm\"");
  refused("DiTTransformer2DModel", "UNet2DConditionModel", "\"_class_name\" is \"UNet2DConditionModel\"");
  refused("\"num_layers\": 2", "\"num_layers\": 3", "transformer_blocks.2.");
  refused("\"attention_head_dim\": 8", "\"attention_head_dim\": 16", "MODEL_SHAPE");
  write(config, good);
  replace(config, "\"in_channels\": 4", "\"in_channels\": 4.0");  // as Python may write it
  EXPECT_EQ(read_model_info(folder_.string()).channels, 4);
}

TEST_F(ModelFilesTest, BrokenShardsAreRefused) {
  const fs::path index = "transformer/diffusion_pytorch_model.safetensors.index.json";
  const std::string first = "diffusion_pytorch_model-00001-of-00003.safetensors", good = read(index);
  fs::rename(folder_ / "transformer" / first, folder_ / "transformer" / "elsewhere");
  expect_refused(first);
  fs::rename(folder_ / "transformer" / "elsewhere", folder_ / "transformer" / first);
  for (const char* name : {"../transformer/x.safetensors", "/etc/passwd", "..", ""}) {
    write(index, good);
    replace(index, first, name);
    expect_refused("SHARD_INDEX");
  }
  write(index, good);
  replace(index, "\"pos_embed.proj.bias\"", "\"pos_embed.proj.bia\"");
  expect_refused("SHARD_MISSING");
  write(index, "{}");
  expect_refused("SHARD_INDEX");
}

TEST_F(ModelFilesTest, ThePredictionComesFromTheScheduler) {
  const fs::path scheduler = "scheduler/scheduler_config.json";
  replace(scheduler, "epsilon", "v_prediction");
  EXPECT_EQ(read_model_info(folder_.string()).prediction, Parameterization::v);
  EXPECT_EQ(stitch_obstacles(read_model_info(folder_.string()), read_model_info(kGolden.string())),
            std::vector<std::string>{});
  replace(scheduler, "v_prediction", "sample");
  EXPECT_EQ(read_model_info(folder_.string()).prediction, Parameterization::x0);
  replace(scheduler, "\"sample\"", "\"score\"");
  expect_refused(
      "\"prediction_type\" is \"score\", expected one of \"epsilon\", \"sample\", \"v_prediction\"");
}

TEST_F(ModelFilesTest, TheFoldersDecoderAnswersAsDiffusers) {
  const auto backend = make_backend({.dtype = "f32"});
  const ModelInfo info = read_model_info(folder_.string());
  EXPECT_EQ(info.pixels_per_latent, 2);  // this one has two levels, not the four of the published ones
  const Tensor pictures =
      decode(*backend, *load_decoder(*backend, info.files.vae, info), golden("dit_pipeline/x.npy"));
  EXPECT_LE(relative_error(pictures, golden("dit_pipeline/decoded.npy")), 1e-5);
}

TEST_F(ModelFilesTest, ACheckpointMayHoldItsAutoencoder) {
  const auto backend = make_backend({.dtype = "f32"});
  std::map<std::string, Tensor> tensors;
  const auto add = [&](const std::string& index, const std::string& prefix) {
    const TensorFile file = read_sharded_checkpoint((folder_ / index).string());
    for (const auto& [name, info] : file.tensors())
      tensors[prefix + name] = file.load(name, Shape(info.shape), DType::f32);
  };
  add("vae/diffusion_pytorch_model.safetensors.index.json", "first_stage_model.");
  add("transformer/diffusion_pytorch_model.safetensors.index.json", "");
  fs::create_directory(folder_ / "single");
  const std::string path = (folder_ / "single" / "all.safetensors").string();
  write_safetensors(path, tensors, {});
  fs::copy(folder_ / "transformer" / "config.json", folder_ / "single" / "config.json");

  ModelInfo info = read_model_info(path);
  EXPECT_EQ(info.files.vae, path);
  info.pixels_per_latent = 2;
  const auto decoder = load_decoder(*backend, info.files.vae, info);
  EXPECT_EQ(decoder->scaling_factor(), 0.18215);
  info.latent_scale.reset();
  EXPECT_THROW(load_decoder(*backend, info.files.vae, info), Error);
}

TEST_F(ModelFilesTest, AFlowIsSampledAsAFlow) {
  const fs::path scheduler = "scheduler/scheduler_config.json";
  write(scheduler,
        R"({"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 3})");
  const ModelInfo info = read_model_info(folder_.string());
  EXPECT_EQ(info.noise.kind, "flow");
  EXPECT_EQ(info.prediction, Parameterization::flow);
  const RunSpec spec = make_run_spec({info, info}, {.fractions = {0.4, 0.6}, .steps = "10"});
  EXPECT_EQ(spec.options.sampler, "flow_euler");
  EXPECT_EQ(spec.trajectory.steps_of(0), 4);
  EXPECT_EQ(spec.trajectory[0].level, (NoiseLevel{1000, 0, 1}));
  EXPECT_EQ(spec.trajectory[9].next, kClean);
  EXPECT_FALSE(stitch_obstacles(info, read_model_info(kGolden.string())).empty());
  for (const SampleOptions& options : {SampleOptions{.sampler = "ddim"}, SampleOptions{.steps = "1001"},
                                       SampleOptions{.spacing = {.spacing = Spacing::leading}}})
    EXPECT_THROW(make_run_spec({info}, options), Error);

  const auto backend = make_backend({.dtype = "f32"});
  std::vector<Model> models;
  models.push_back(load_model(info, *backend));
  RunObserver silent;
  const Tensor latents =
      run(*backend, models, make_run_spec({info}, {.steps = "3", .classes = {1}}), silent).latents;
  EXPECT_EQ(latents.shape(), Shape({1, info.channels, info.side, info.side}));
}

TEST_F(ModelFilesTest, BrokenAutoencodersAreRefused) {
  ModelInfo published = read_model_info(folder_.string());
  published.pixels_per_latent = 8;
  const auto refused = [&](const std::string& part) {
    try {
      load_decoder(*make_backend({.dtype = "f32"}), (folder_ / "vae").string(), published);
      ADD_FAILURE() << "accepted, expected " << part;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::input) << e.what();
      EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
    }
  };
  refused("pictures 2 times as wide");
  const fs::path config = "vae/config.json";
  const std::string good = read(config);
  replace(config, "\"norm_num_groups\": 4", "\"norm_num_groups\": 0");
  refused("\"norm_num_groups\" is 0");
  write(config, good);
  replace(config, "\"norm_num_groups\": 4", "\"norm_num_groups\": 3");
  refused("does not divide 8 channels");
  write(config, good);
  replace(config, "\"scaling_factor\": 0.18215", "\"scaling_factor\": 0");
  refused("\"scaling_factor\" is 0");
  for (const auto& [key, part] :
       {std::pair{R"("act_fn": "relu")", "\"act_fn\" is \"relu\", expected \"silu\""},
        {R"("latents_mean": [0.1])", "\"latents_mean\" is [0.1], expected null"}}) {
    const auto object = nlohmann::json::parse(good);
    auto changed = object;
    changed.update(nlohmann::json::parse(concat("{", key, "}")));
    write(config, changed.dump());
    refused(part);
  }
  fs::remove_all(folder_ / "vae");
  fs::create_directory(folder_ / "vae");
  refused("DF_LAYOUT");
}

}  // namespace
}  // namespace tstitch
