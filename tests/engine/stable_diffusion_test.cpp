// A stitched pair of text-conditional U-Nets, from prompt to final latents, against diffusers and
// transformers (tools/goldens/make_sd_goldens.py), in both layouts of files; and what must be refused.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/engine/tiny_sd.h"
#include "tests/support/expect_error.h"
#include "tests/support/fake_device.h"
#include "tests/support/golden.h"
#include "tstitch/base/error.h"
#include "tstitch/condition/text_encoder.h"
#include "tstitch/engine/fields.h"
#include "tstitch/engine/run.h"
#include "tstitch/io/json.h"
#include "tstitch/io/safetensors.h"
#include "tstitch/nn/random_weights.h"

namespace tstitch {
namespace {

TEST_F(StableDiffusion, AgreesWithDiffusers) {
  const auto backend = make_backend({.dtype = "f32", .threads = 2});
  const auto models = infos();
  for (const std::string sampler : {"pndm", "ddim", "euler"})
    for (const auto& [ratio, name] : {std::pair{0.0, "0"}, {0.4, "0.4"}, {1.0, "1"}}) {
      SCOPED_TRACE(sampler + " " + name);
      EXPECT_LE(relative_error(latents_of(*backend, models, options(sampler, ratio)),
                               golden("sd/" + sampler + "_" + name + ".npy")),
                1e-4);
    }
}

// What scheduler_config.json says, to the latents of diffusers' pipeline
// (tools/goldens/make_scheduler_goldens.py).
TEST_F(StableDiffusion, SchedulersAgreeWithDiffusers) {
  const auto backend = make_backend({.dtype = "f32", .threads = 2});
  const fs::path model = folder() / "scheduled";
  fs::copy(folder() / "large", model, fs::copy_options::recursive);
  const Tensor noise = random_uniform("noise", {64, 1, 4, 8, 8}, std::sqrt(3.0), kSeed);
  for (const nlohmann::json& golden : parse_json_file(golden_path("sd/schedulers.json"))) {
    SCOPED_TRACE(golden["file"]);
    write(model / "scheduler" / "scheduler_config.json", golden["file"]);
    const ModelInfo info = read_model_info(model.string());
    SampleOptions asked = options("", 1);
    asked.fractions.clear();
    asked.steps = std::to_string(golden["steps"].get<int>());
    asked.cfg_scale = 7.5;  // the pipeline's, of LCM's schedulers, too
    asked.given.steps = noise.slice(0, make_run_spec({info}, asked).trajectory.size());
    const Tensor found = latents_of(*backend, {info}, asked);
    Tensor expected(found.shape(), DType::f32);
    const auto values = golden["latents"].get<std::vector<float>>();
    ASSERT_EQ(std::ssize(values), expected.elements());
    std::ranges::copy(values, expected.data<float>());
    EXPECT_LE(relative_error(found, expected), 1e-4);
  }
}

// A folder's scheduler decides unless a sampler is named: describing the model never fails for it.
TEST_F(StableDiffusion, ASchedulerThatIsNotFollowedIsRefusedUnlessASamplerIsNamed) {
  const fs::path model = folder() / "unfollowed";
  fs::copy(folder() / "large", model, fs::copy_options::recursive);
  write(
      model / "scheduler" / "scheduler_config.json",
      R"({"_class_name": "DPMSolverSDEScheduler", "use_karras_sigmas": true, "timestep_spacing": "trailing"})");
  const ModelInfo info = read_model_info(model.string());
  SampleOptions asked = options("", 1);
  asked.fractions.clear();
  try {
    make_run_spec({info}, asked);
    ADD_FAILURE() << "accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::input);
    EXPECT_NE(std::string(e.what()).find("\"_class_name\" is \"DPMSolverSDEScheduler\""), std::string::npos)
        << e.what();
  }
  // As from_config in diffusers: what it says of timesteps and sigmas holds for whoever has such a choice.
  const auto sigmas_of = [&](const std::string& sampler) {
    asked.sampler = sampler;
    return make_run_spec({info}, asked).spacing.sigmas;
  };
  EXPECT_EQ(sigmas_of("unipc"), SigmaSpacing::karras);
  EXPECT_EQ(sigmas_of("ddim"), SigmaSpacing::discrete);
  asked.spacing.sigmas = SigmaSpacing::discrete;
  EXPECT_EQ(sigmas_of("unipc"), SigmaSpacing::discrete);
  asked.spacing.sigmas.reset();
  // But not values that the table refuses for it, nor what a scheduler does where nothing is said.
  const auto first_timestep = [&](const std::string& sampler) {
    asked.sampler = sampler;
    return make_run_spec({read_model_info(model.string())}, asked).trajectory[0].level.t;
  };
  write(model / "scheduler" / "scheduler_config.json",
        R"({"_class_name": "EulerDiscreteScheduler", "use_exponential_sigmas": true,
            "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
            "timestep_spacing": "linspace"})");
  const ModelInfo euler = read_model_info(model.string());
  for (const auto& [sampler, sigmas] : {std::pair{"heun", SigmaSpacing::exponential},
                                        {"unipc", SigmaSpacing::exponential},
                                        {"euler_a", SigmaSpacing::discrete}}) {
    asked.sampler = sampler;
    EXPECT_EQ(make_run_spec({euler}, asked).spacing.sigmas, sigmas) << sampler;
  }
  EXPECT_EQ(first_timestep("ddim"), 901);
  EXPECT_EQ(first_timestep("euler"), 999);
  write(model / "scheduler" / "scheduler_config.json", R"({"_class_name": "HeunDiscreteScheduler"})");
  EXPECT_EQ(first_timestep("ddim"), 901);
  EXPECT_EQ(first_timestep("heun"), 999);
  write(model / "scheduler" / "scheduler_config.json",
        R"({"_class_name": "DPMSolverSDEScheduler", "use_karras_sigmas": true})");
  // LCM has timesteps of its own.
  asked = {.sampler = "lcm", .steps = "4", .prompts = {kPrompt}};
  EXPECT_EQ(make_run_spec({info}, asked).trajectory[1].level.t, 759);
}

// A picture keeps what the user said of it, and leaves open what the folder decided: another sampler may be
// asked for the same picture.
TEST_F(StableDiffusion, WhatTheFolderSaysIsNotRecordedAsSaid) {
  const fs::path model = folder() / "karras";
  fs::copy(folder() / "large", model, fs::copy_options::recursive);
  write(model / "scheduler" / "scheduler_config.json",
        R"({"_class_name": "EulerDiscreteScheduler", "use_karras_sigmas": true})");
  const std::vector<ModelInfo> models = {read_model_info(model.string())};
  const auto spec_of = [&](const Said& said) { return make_run_spec(models, parse_options(said, models)); };
  const auto label_of = [&](const RunSpec& spec) {
    for (const auto& [label, value] : labelled(spec.options, spec, models))
      if (label == "Schedule type") return value;
    return std::string();
  };
  const auto recorded = [](const RunSpec& spec) {
    return said_of(nlohmann::json::parse(to_json(spec.options, false).dump()), "test");
  };
  const RunSpec spec = spec_of({{"prompt", {kPrompt}}});
  const Said of_picture = recorded(spec);
  EXPECT_FALSE(of_picture.contains("scheduler"));
  EXPECT_EQ(label_of(spec), "Karras");
  EXPECT_EQ(decided(spec)["scheduler"], "karras");
  EXPECT_EQ(spec_of(of_picture).trajectory, spec.trajectory);
  for (const char* sampler : {"pndm", "ddim"}) {
    const RunSpec other = spec_of(merged(of_picture, {{"sampler", {sampler}}}));
    EXPECT_EQ(other.trajectory, spec_of({{"prompt", {kPrompt}}, {"sampler", {sampler}}}).trajectory)
        << sampler;
    EXPECT_EQ(label_of(other), "") << sampler;
  }
  // What was said stays said.
  const Said said = recorded(spec_of({{"prompt", {kPrompt}}, {"scheduler", {"exponential"}}}));
  EXPECT_EQ(said.at("scheduler"), Texts{"exponential"});
  EXPECT_THROW(spec_of(merged(said, {{"sampler", {"pndm"}}})), Error);
}

// A network that is told the scale of guidance, alone and before one that is led away from a negative prompt
// (tools/goldens/make_sd_goldens.py).
TEST_F(StableDiffusion, ToldGuidanceAgreesWithDiffusers) {
  const auto backend = make_backend({.dtype = "f32", .threads = 2});
  const auto models = read_model_infos({(folder() / "told").string(), (folder() / "large").string()});
  EXPECT_TRUE(models[0].condition.told_guidance);
  for (const auto& [ratio, name] : {std::pair{0.5, "0.5"}, {1.0, "1"}}) {
    SampleOptions asked = options("lcm", ratio);
    asked.steps = "4";
    asked.cfg_scale = 2.5;
    asked.given.steps = random_uniform("noise", {4, 1, 4, 8, 8}, std::sqrt(3.0), kSeed);
    EXPECT_LE(relative_error(latents_of(*backend, models, asked), golden(concat("sd/told_", name, ".npy"))),
              1e-4)
        << ratio;
  }
}

// Stages have scales and intervals of their own; nothing is led away from.
TEST_F(StableDiffusion, ToldGuidanceIsTheStages) {
  const auto backend = make_backend({.threads = 2});
  // The text encoder comes with a model that no step asks.
  const auto of_folders = read_model_infos({(folder() / "told").string(), (folder() / "large").string()});
  const ModelInfo told = of_folders[0], large = of_folders[1];
  const auto bytes = [&](const Texts& stages) {
    SampleOptions asked{.sampler = "ddim", .steps = "8", .prompts = {kPrompt, "a"}};
    for (const std::string& stage : stages) asked.stages.push_back(parse_stage(stage));
    std::vector<ModelInfo> infos(stages.size() - 1, told);
    infos.push_back(large);
    const Tensor latents = latents_of(*backend, infos, asked);
    return std::string(reinterpret_cast<const char*>(latents.bytes()),
                       static_cast<size_t>(latents.elements()) * 4);
  };
  const std::string interval = bytes({"share=1,cfg=4,cfg-interval=0.25:0.75", ""});
  EXPECT_EQ(interval, bytes({"until=2,cfg=1", "until=6,cfg=4", "until=8,cfg=1", ""}));
  EXPECT_NE(interval, bytes({"share=1,cfg=1", ""}));
  EXPECT_NE(interval, bytes({"share=1,cfg=4", ""}));

  const std::vector<ModelInfo> models = {told};
  const auto spec_of = [&](const Said& said) {
    const RunSpec spec = make_run_spec(models, parse_options(said, models));
    check_effective(said, spec, models);
    return spec;
  };
  EXPECT_FALSE(spec_of({{"prompt", {"a"}}, {"cfg_scale", {"8"}}}).needs_null(models));
  for (const Said& said :
       {Said{{"negative_prompt", {"b"}}}, Said{{"cfg_channels", {"3"}}}, Said{{"stage", {"negative=b"}}}})
    testing::expect_error(ErrorKind::usage, "is told the scale of guidance and led away from nothing", [&] {
      spec_of(merged({{"prompt", {"a"}}, {"model", {told.path}}}, said));
    });
  // With one that is, the run's negative prompt is that one's.
  const std::vector<ModelInfo> pair = {told, large};
  const Said said = {{"prompt", {"a"}}, {"negative_prompt", {"b"}}, {"cfg_scale", {"2"}}};
  EXPECT_NO_THROW(check_effective(said, make_run_spec(pair, parse_options(said, pair)), pair));
}

// Text encoder included.
TEST_F(StableDiffusion, OnADeviceIsThatOfTheHost) {
  std::vector<ModelInfo> models = infos();
  models.back().defaults.sampler = "unipc";
  models.back().defaults.solver = {.order = 3, .thresholding = Thresholding{.ratio = 0.9, .most = 5}};
  SampleOptions asked = options("pndm", 0.4);
  asked.prompts.push_back("a (red:1.5) bicycle");
  asked.given = {};
  for (const auto& [dtype, sampler] : {std::pair{"f32", "pndm"}, {"bf16", "pndm"}, {"f32", "unipc"}}) {
    asked.sampler = sampler;
    const auto host = make_backend({.dtype = dtype, .threads = 2});
    const auto device = fake_device({.dtype = dtype, .threads = 2});
    const Tensor expected = latents_of(*host, models, asked), found = latents_of(*device, models, asked);
    ASSERT_EQ(found.shape(), expected.shape());
    EXPECT_EQ(std::memcmp(found.bytes(), expected.bytes(),
                          static_cast<size_t>(expected.elements()) * sizeof(float)),
              0)
        << dtype << " " << sampler;
  }
}

TEST_F(StableDiffusion, IsSampledAsItsSchedulerSays) {
  const RunSpec spec = make_run_spec(
      infos(), {.fractions = {0.4, 0.6}, .steps = "50", .prompts = {kPrompt, "a"}, .batch_count = 2});
  EXPECT_EQ(spec.options.sampler, "pndm");
  EXPECT_EQ(spec.trajectory.size(), 51);
  EXPECT_EQ(spec.trajectory.steps_of(0), 20);  // (i + 1) / 51 <= 0.4
  EXPECT_EQ(*spec.options.cfg_scale, 7.5);
  EXPECT_EQ(spec.cfg_channels, 4);
  EXPECT_EQ(spec.subjects, (std::vector<int64_t>{0, 0, 1, 1}));
  const RunSpec ddim = make_run_spec(infos(), {.sampler = "ddim", .steps = "50", .prompts = {kPrompt}});
  EXPECT_EQ(ddim.trajectory[0].level.t, 981);
  EXPECT_EQ(ddim.trajectory[49].level.t, 1);
  EXPECT_NE(ddim.trajectory[49].next, kClean);  // set_alpha_to_one is false
}

TEST_F(StableDiffusion, AnImageDoesNotDependOnTheOtherPrompts) {
  const auto backend = make_backend({.threads = 2});
  SampleOptions alone{.fractions = {0.4, 0.6}, .steps = "4", .prompts = {kPrompt}}, both = alone;
  both.prompts.push_back("a red bicycle, (oil painting:1.3)");
  const Tensor a = latents_of(*backend, infos(), alone), b = latents_of(*backend, infos(), both);
  EXPECT_EQ(std::memcmp(a.bytes(), b.bytes(), static_cast<size_t>(a.elements()) * 4), 0);
  EXPECT_NE(std::memcmp(b.slice(0, 1).bytes(), b.slice(1, 2).bytes(), static_cast<size_t>(a.elements()) * 4),
            0);
  // Nor on their length: more than 75 tokens are two chunks.
  for (int i = 0; i < 40; ++i) both.prompts.back() += " and a dog";
  const Tensor c = latents_of(*backend, infos(), both);
  EXPECT_EQ(std::memcmp(a.bytes(), c.bytes(), static_cast<size_t>(a.elements()) * 4), 0);
  // A long one beside the short negative prompt is what it is alone, too.
  SampleOptions longer = alone;
  longer.prompts = {both.prompts.back()};
  longer.seed = make_run_spec(infos(), both).seed_of(1);
  const Tensor d = latents_of(*backend, infos(), longer);
  EXPECT_EQ(std::memcmp(d.bytes(), c.slice(1, 2).bytes(), static_cast<size_t>(a.elements()) * 4), 0);
}

TEST_F(StableDiffusion, EveryStageHasItsNegativePrompt) {
  const auto backend = make_backend({.threads = 2});
  const auto bytes = [&](const std::string& first, const std::string& second, const std::string& of_run) {
    SampleOptions asked{.stages = {parse_stage(first), parse_stage(second)},
                        .steps = "4",
                        .prompts = {kPrompt},
                        .negative_prompt = of_run};
    const Tensor latents = latents_of(*backend, infos(), asked);
    return std::string(reinterpret_cast<const char*>(latents.bytes()),
                       static_cast<size_t>(latents.elements()) * 4);
  };
  EXPECT_EQ(bytes("share=0.5,negative=dark", "negative=dark", "blurry"), bytes("share=0.5", "", "dark"));
  EXPECT_NE(bytes("share=0.5,negative=dark", "", "blurry"), bytes("share=0.5", "", "blurry"));
  EXPECT_NE(bytes("share=0.5,negative=dark", "", "blurry"), bytes("share=0.5", "negative=dark", "blurry"));
}

// Near the end of Karras' levels timesteps are rounded to the same, and a step's number is still its own.
TEST_F(StableDiffusion, FromAPictureStepsKeepTheirNumbers) {
  SampleOptions options{.switch_steps = {48}, .sampler = "dpm++2m", .steps = "50", .prompts = {kPrompt}};
  options.spacing.sigmas = SigmaSpacing::karras;
  const RunSpec whole = make_run_spec(infos(), options);
  EXPECT_EQ(whole.trajectory[47].level.t, whole.trajectory[48].level.t);
  options.init_image = Tensor({3, 64, 64}, DType::f32);
  const RunSpec rest = make_run_spec(infos(), options);
  ASSERT_LT(rest.trajectory.size(), 50);
  const int left_out = 50 - rest.trajectory.size();
  for (int step = 0; step < rest.trajectory.size(); ++step) {
    EXPECT_EQ(rest.numbers[static_cast<size_t>(step)], left_out + step);
    EXPECT_EQ(rest.trajectory[step].denoiser, whole.trajectory[left_out + step].denoiser) << step;
  }
}

TEST_F(StableDiffusion, APlaceWithoutNeighboursSwitchesNothing) {
  SampleOptions options{.adaptive = true, .prompts = {kPrompt}};
  options.width = options.height = 8;
  testing::expect_error(ErrorKind::usage, "--switch auto compares neighbours in the latent",
                        [&] { make_run_spec(infos(), options); });
  options.adaptive = false;
  EXPECT_EQ(make_run_spec(infos(), options).height, 1);
}

TEST_F(StableDiffusion, ImagesSwitchByThemselves) {
  const auto backend = make_backend({.threads = 2});
  SampleOptions adaptive{.adaptive = true,
                         .sampler = "pndm",
                         .steps = "6",
                         .prompts = {kPrompt, "a red bicycle", "(oil painting:1.3)"}};
  SampleOptions fixed = adaptive;
  fixed.adaptive = false;
  const auto expect_equal = [&](const SampleOptions& a, const SampleOptions& b) {
    const Tensor x = latents_of(*backend, infos(), a), y = latents_of(*backend, infos(), b);
    ASSERT_EQ(x.shape(), y.shape());
    EXPECT_EQ(std::memcmp(x.bytes(), y.bytes(), static_cast<size_t>(x.elements()) * 4), 0);
  };
  adaptive.switch_threshold = 1e9;
  fixed.fractions = {1, 0};
  expect_equal(adaptive, fixed);
  adaptive.switch_threshold = 0;
  fixed.fractions.clear();
  fixed.switch_steps = {1};
  expect_equal(adaptive, fixed);
  // Networks without training denoise little, and details grow as alpha / sigma does.
  adaptive.switch_threshold = 3;
  SampleOptions apart = adaptive;
  apart.batch_size = 1;
  expect_equal(adaptive, apart);
}

TEST_F(StableDiffusion, WeightsKeepTheMeanOfTheEncoding) {
  const auto backend = make_backend({.dtype = "f32", .threads = 1});
  const TextEncoder encoder(*backend, infos().back(), 0, 0);
  const auto encoded = [&](const std::string& text) { return encoder.encode({text}).at(0).context; };
  const Tensor plain = encoded("a red bicycle"), heavy = encoded("a (red:1.5) bicycle");
  const auto mean = [](const Tensor& x) {
    double sum = 0;
    for (int64_t i = 0; i < x.elements(); ++i) sum += x.data<float>()[i];
    return sum / static_cast<double>(x.elements());
  };
  EXPECT_NEAR(mean(heavy), mean(plain), 1e-6);
  // Rows: kBegin, a, red, bicycle. The ratio of the third to the first is 1.5 times what it was.
  const auto at = [](const Tensor& x, int64_t row) { return double{x.data<float>()[row * x.columns() + 3]}; };
  EXPECT_NEAR(at(heavy, 2) / at(heavy, 0), 1.5 * at(plain, 2) / at(plain, 0), 1e-4);
  std::string words;
  for (int i = 0; i < 50; ++i) words += " and a dog";
  EXPECT_EQ(encoded("a red bicycle, " + std::string(400, 'x')).extent(0) % 77, 0);
  EXPECT_GT(encoded("a dog" + words).extent(0), 77);
  EXPECT_THROW(encoded("a \xff"), Error);
}

// A U-Net that comes alone, as the large model behind a full folder.
TEST_F(StableDiffusion, ANetworkAloneTakesWhatItsPartnerBrings) {
  const fs::path full = folder() / "full", alone = folder() / "alone";
  fs::copy(folder() / "large", full, fs::copy_options::recursive);
  fs::create_directory(full / "vae");
  component(alone, "large", "large.safetensors");
  const std::string file = (alone / "large.safetensors").string();
  const auto backend = make_backend({.threads = 2});
  // Its scheduler's settings, too: other betas, another sampler, v instead of eps.
  for (const char* scheduler :
       {"", R"({"_class_name": "DPMSolverMultistepScheduler", "prediction_type": "v_prediction",
                "beta_schedule": "linear", "use_karras_sigmas": true, "solver_order": 1})"}) {
    if (*scheduler) write(full / "scheduler" / "scheduler_config.json", scheduler);
    for (const bool last : {true, false}) {
      const auto models =
          last ? read_model_infos({full.string(), file}) : read_model_infos({file, full.string()});
      const ModelInfo &folder_info = models[last ? 0 : 1], &lone = models[last ? 1 : 0];
      EXPECT_EQ(lone.files.text_encoders, (std::vector{(full / "text_encoder").string()}));
      EXPECT_EQ(lone.files.vae, full / "vae");
      EXPECT_EQ(lone.noise, folder_info.noise);
      EXPECT_EQ(lone.prediction, *scheduler ? Parameterization::v : Parameterization::eps);
      EXPECT_EQ(lone.defaults.sampler, *scheduler ? "dpm++2m" : "pndm");
      EXPECT_EQ(lone.defaults.spacing.sigmas, folder_info.defaults.spacing.sigmas);
      SampleOptions asked = options("", 0.4);
      const Tensor latents = latents_of(*backend, models, asked),
                   expected = latents_of(*backend, {folder_info, folder_info}, asked);
      EXPECT_EQ(std::memcmp(latents.bytes(), expected.bytes(), static_cast<size_t>(latents.elements()) * 4),
                0);
    }
  }
  EXPECT_TRUE(read_model_info(file).files.vae.empty());
  // What it says itself stands, and a network of another kind brings nothing.
  const auto asked = read_model_infos({full.string(), file}, WeightChoice::automatic, Parameterization::x0);
  EXPECT_EQ(asked[1].prediction, Parameterization::x0);
  fs::create_directories(alone / "told");
  component(alone / "told", "told", "told.safetensors");
  EXPECT_EQ(
      read_model_infos({full.string(), (alone / "told" / "told.safetensors").string()})[1].defaults.sampler,
      "lcm");
}

// As diffusers' PNDM it averages what the network predicts.
TEST_F(StableDiffusion, ModelsOfEpsAndVShareATrajectory) {
  const fs::path of_v = folder() / "of_v";
  fs::copy(folder() / "small", of_v, fs::copy_options::recursive);
  auto scheduler = parse_json_file((of_v / "scheduler" / "scheduler_config.json").string());
  scheduler["prediction_type"] = "v_prediction";
  write(of_v / "scheduler" / "scheduler_config.json", scheduler.dump());
  const std::vector<ModelInfo> both = read_model_infos({of_v.string(), (folder() / "large").string()});
  const ModelInfo &v = both[0], &eps = both[1];
  const auto backend = make_backend({.dtype = "f32", .threads = 2});
  const Tensor stitched = latents_of(*backend, both, options("ddim", 0.4));
  const auto alone = [&](double ratio) {
    SampleOptions asked = options("ddim", ratio);
    return latents_of(*backend, both, asked);
  };
  SampleOptions one = options("ddim", 1);
  one.fractions.clear();
  EXPECT_EQ(relative_error(alone(0), latents_of(*backend, {eps}, one)), 0);
  EXPECT_GT(relative_error(stitched, alone(0)), 1e-3);
  EXPECT_GT(relative_error(stitched, alone(1)), 1e-3);
  EXPECT_GT(relative_error(alone(1), latents_of(*backend, {infos()[0], eps}, options("ddim", 1))), 1e-3);
  EXPECT_TRUE(make_run_spec({eps, v}, options("pndm", 0.4)).solver.averages_v);
  EXPECT_FALSE(make_run_spec(both, options("pndm", 0.4)).solver.averages_v);
}

TEST_F(StableDiffusion, PromptsArePaddedAsTheTokenizerSays) {
  const auto backend = make_backend({.dtype = "f32", .threads = 1});
  const auto encoded = [&] {
    return TextEncoder(*backend, infos().back(), 0, 0).encode({"a red bicycle"}).at(0).context;
  };
  const auto error_of = [&](const std::string& padding) {
    const Tensor usual = encoded();
    const fs::path tokenizer = folder() / "large" / "tokenizer";
    write(tokenizer / "tokenizer_config.json", R"({"pad_token": ")" + padding + R"("})");
    const Tensor found = encoded();
    fs::remove_all(tokenizer);
    return relative_error(found, usual);
  };
  EXPECT_EQ(error_of("<|endoftext|>"), 0);
  EXPECT_GT(error_of("!"), 1e-3);
  EXPECT_THROW(error_of("[PAD]"), Error);
  fs::remove_all(folder() / "large" / "tokenizer");
}

TEST_F(StableDiffusion, WhatDoesNotFitIsRefused) {
  const auto refused = [&](ErrorKind kind, const std::string& part, const std::vector<ModelInfo>& models,
                           const SampleOptions& options) {
    try {
      make_run_spec(models, options);
      ADD_FAILURE() << "accepted, expected " << part;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), kind) << e.what();
      EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
    }
  };
  auto models = infos();
  refused(ErrorKind::usage, "--prompt", models, {});
  refused(ErrorKind::usage, "--prompt instead of --class", models, {.classes = {1}});
  refused(ErrorKind::usage, "--prompt without --class", models, {.classes = {1}, .prompts = {kPrompt}});
  refused(ErrorKind::usage, "--prompt without --class random or --num-fid-samples", models,
          {.random_classes = true, .prompts = {kPrompt}});
  refused(ErrorKind::usage, "\"[cat:dog:0.5]\"", models, {.prompts = {"a [cat:dog:0.5]"}});
  refused(ErrorKind::usage, "\"AND\"", models, {.prompts = {"a dog AND a hen"}});
  // A word like any other where guidance leads away from it, as in the web UI.
  EXPECT_NO_THROW(make_run_spec(models, {.prompts = {"a cat"}, .negative_prompt = "a dog AND a hen"}));
  refused(ErrorKind::usage, "\"[a|b]\"", models, {.prompts = {"a cat"}, .negative_prompt = "[a|b]"});
  EXPECT_NO_THROW(make_run_spec(
      models, {.prompts = {"a [cat|dog]"}, .prompt_style = PromptStyle::plain, .clip_skip = 1}));
  models[1].condition.width = 1024;
  models[0].condition.width = 768;
  refused(ErrorKind::input, "Stable Diffusion 2 (1024) with BK-SDM-v2", models, {.prompts = {kPrompt}});
  models = infos();
  models[1].files.text_encoders.clear();
  testing::expect_error(ErrorKind::input, "large\" holds no text encoder", [&] {
    make_condition_makers(*make_backend({.threads = 1}), models, {.prompts = {"a"}, .negatives = {{}, {}}});
  });
}

}  // namespace
}  // namespace tstitch
