// Models that were distilled to need few steps, sampled as their files say and as docs/few-steps.md does
// where these say nothing, against diffusers' pipelines (tools/goldens/make_few_step_goldens.py); and what of
// them can be stitched.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "on_tiny_sdxl.h"
#include "tests/engine/tiny_sd.h"
#include "tests/support/expect_error.h"
#include "tstitch/engine/fields.h"
#include "tstitch/engine/report.h"
#include "tstitch/engine/take_loras.h"

namespace tstitch {
namespace {

using Tensors = std::map<std::string, Tensor>;

constexpr double kTolerance = 1e-5;  // relative, in f32
constexpr const char* kLcm = R"({"_class_name": "LCMScheduler", "clip_sample": false})";

// In kohya's form with diffusers' names, as the published ones, for the U-Net of these tensors.
Tensors lcm_lora(const Tensors& unet) {
  constexpr int64_t kRank = 4;
  constexpr std::string_view kTargets[] = {"to_q",
                                           "to_k",
                                           "to_v",
                                           "to_out.0",
                                           "proj_in",
                                           "proj_out",
                                           "ff.net.0.proj",
                                           "ff.net.2",
                                           "conv1",
                                           "conv2",
                                           "conv_shortcut",
                                           "downsamplers.0.conv",
                                           "upsamplers.0.conv",
                                           "time_emb_proj"};
  Tensor alpha(Shape(), DType::f32);
  *alpha.data<float>() = 2;
  Tensors stored;
  for (const auto& [name, weight] : unet) {
    if (!name.ends_with(".weight") || weight.shape().rank() < 2) continue;
    const std::string module = name.substr(0, name.size() - 7);
    if (std::ranges::none_of(kTargets, [&](std::string_view target) { return module.ends_with(target); }))
      continue;
    std::vector<int64_t> down(weight.shape().extents().begin(), weight.shape().extents().end()),
        up(down.size(), 1);
    up[0] = std::exchange(down[0], kRank);
    up[1] = kRank;
    const auto columns = static_cast<double>(weight.elements() / weight.extent(0));
    std::string key = "lora_unet_" + module;
    std::ranges::replace(key, '.', '_');
    stored[key + ".lora_down.weight"] =
        random_uniform(concat("lcm/", module, ".down"), Shape(down), std::sqrt(3 / columns), kSeed);
    stored[key + ".lora_up.weight"] = random_uniform(concat("lcm/", module, ".up"), Shape(up), 1, kSeed);
    stored[key + ".alpha"] = alpha;
  }
  return stored;
}

std::vector<ModelInfo> models_of(const Said& said) { return read_models(parse_models(said)); }

// As the command line does; noise as torch's generator gives it.
RunSpec spec_of(const std::vector<ModelInfo>& models, const Said& said) {
  const Said all =
      merged({{"prompt", {kPrompt}}, {"seed", {std::to_string(kSeed)}}, {"rng", {"torch"}}}, said);
  check_exclusive(all);
  const RunSpec spec = make_run_spec(models, parse_options(all, models));
  check_effective(said, spec, models);
  return spec;
}

Tensor latents_of(const std::vector<ModelInfo>& models, const RunSpec& spec, const Tensor& init_latent = {}) {
  static const auto backend = make_backend({.dtype = "f32", .threads = 2});
  std::vector<Model> loaded;
  for (const ModelInfo& info : models) loaded.push_back(load_model(info, *backend));
  RunObserver silent;
  return run(*backend, loaded, spec, silent,
             {.conditions = make_condition_makers(*backend, models, spec), .init_latent = init_latent})
      .latents;
}

void expect_golden(const std::string& name, const Said& said) {
  const std::vector<ModelInfo> models = models_of(said);
  EXPECT_LE(relative_error(latents_of(models, spec_of(models, said)), golden("few_steps/" + name + ".npy")),
            kTolerance)
      << name;
}

void expect_golden_from_picture(const std::string& name, const Said& said, double strength) {
  const std::vector<ModelInfo> models = models_of(said);
  SampleOptions asked = parse_options(merged({{"prompt", {kPrompt}}}, said), models);
  const Tensor latent = start_from_picture(asked, strength);
  EXPECT_LE(relative_error(latents_of(models, make_run_spec(models, asked), latent),
                           golden("few_steps/" + name + ".npy")),
            kTolerance)
      << name;
}

class FewSteps : public StableDiffusion {
 protected:
  static void SetUpTestSuite() {
    StableDiffusion::SetUpTestSuite();
    pipeline("lcm", "told", parse_json_file(golden_path("sd/told_config.json")),
             parse_json_file(golden_path("sd/told_names.json")));
    nlohmann::json config = parse_json_file(golden_path("sd/large_config.json")),
                   names = parse_json_file(golden_path("sd/large_names.json"));
    config["time_cond_proj_dim"] = 32;
    names["time_embedding.cond_proj.weight"] = {32, 32};
    pipeline("lcm_large", "told_large", config, names);
    write_safetensors((folder() / "lcm_lora.safetensors").string(), lcm_lora(tensors("large", "")), {});
  }

  static void pipeline(const std::string& name, const std::string& tag, const nlohmann::json& config,
                       const nlohmann::json& names) {
    const fs::path to = folder() / name;
    write(to / "model_index.json", R"({"_class_name": "LatentConsistencyModelPipeline"})");
    write(to / "scheduler" / "scheduler_config.json", kLcm);
    write(to / "unet" / "config.json", config.dump());
    const RandomWeights random("sd-" + tag, kSeed);
    Tensors all;
    for (const auto& [key, shape] : names.items())
      all[key] = random.load(key, Shape(shape.get<std::vector<int64_t>>()), DType::f32);
    write_safetensors((to / "unet" / "diffusion_pytorch_model.safetensors").string(), all, {});
    fs::create_directory_symlink(folder() / "large" / "text_encoder", to / "text_encoder");
  }

  static Said of(const std::vector<std::string>& names, const Said& more = {}) {
    Texts paths;
    for (const std::string& name : names) paths.push_back((folder() / name).string());
    return merged({{"model", paths}}, more);
  }
};

TEST_F(FewSteps, AnLcmIsSampledAsItsPipelineDoes) {
  const auto models = models_of(of({"lcm"}));
  const RunSpec spec = spec_of(models, {});
  EXPECT_EQ(spec.options.sampler, "lcm");
  EXPECT_EQ(spec.options.steps, "4");
  EXPECT_EQ(*spec.options.cfg_scale, 8.5);
  expect_golden("lcm", of({"lcm"}));
  expect_golden("lcm_8", of({"lcm"}, {{"steps", {"8"}}, {"cfg_scale", {"3"}}}));
  expect_golden("lcm_timesteps", of({"lcm"}, {{"timesteps", {"939,619,219"}}}));
}

// A strength leaves the lower timesteps of those that were distilled, and as many steps.
TEST_F(FewSteps, AnLcmTakesAllStepsFromAPicture) {
  expect_golden_from_picture("lcm_img2img_0.8", of({"lcm"}), 0.8);
  expect_golden_from_picture("lcm_img2img_0.3", of({"lcm"}), 0.3);
  // Who serves a noise level does so from a picture, too: t = 499 begins the second half.
  expect_golden_from_picture("lcm_stitched_img2img", of({"lcm", "lcm_large"}, {{"ratio", {"0.5"}}}), 0.6);
}

TEST_F(FewSteps, LcmsAreStitchedByTheReferencesRules) {
  for (const char* rule : {"step", "lcm"})
    for (const char* ratio : {"0.25", "0.5"})
      expect_golden(concat("lcm_stitched_", rule, "_", ratio),
                    of({"lcm", "lcm_large"}, {{"ratio", {ratio}}, {"switch_rule", {rule}}}));
  // The default is that of the reference's demos.
  expect_golden("lcm_stitched_step_0.25", of({"lcm", "lcm_large"}, {{"ratio", {"0.25"}}}));
}

TEST_F(FewSteps, AnLcmLoraAgreesWithDiffusers) {
  const Said base =
      of({"large"},
         {{"lora", {(folder() / "lcm_lora.safetensors").string()}}, {"sampler", {"lcm"}}, {"steps", {"4"}}});
  expect_golden("lcm_lora", merged(base, {{"cfg_scale", {"1"}}}));
  expect_golden("lcm_lora_guided", merged(base, {{"cfg_scale", {"1.5"}}, {"negative_prompt", {"blurry"}}}));
}

TEST_F(FewSteps, HyperSdAndNamedTimestepsAgreeWithDiffusers) {
  expect_golden(
      "hyper_tcd",
      of({"large"}, {{"sampler", {"tcd"}}, {"steps", {"4"}}, {"cfg_scale", {"1"}}, {"eta", {"0.3"}}}));
  // Align Your Steps (Sabour et al. 2024).
  expect_golden("ays", of({"large"}, {{"sampler", {"dpm++2m"}},
                                      {"negative_prompt", {"blurry"}},
                                      {"timesteps", {"999,850,736,645,545,455,343,233,124,24"}}}));
}

TEST_F(FewSteps, NamedTimestepsAreRecordedAndSaidAgain) {
  const auto models = models_of(of({"large"}));
  const RunSpec spec = spec_of(models, {{"sampler", {"ddim"}}, {"timesteps", {"800,400"}}});
  EXPECT_EQ(spec.trajectory.size(), 2);
  EXPECT_EQ(spec.trajectory[0].level.t, 800);
  EXPECT_EQ(spec.options.steps, "");
  const std::string parameters = png_text(spec, models, 0)[0].second;
  EXPECT_NE(parameters.find("Steps: 2, "), std::string::npos) << parameters;
  EXPECT_NE(parameters.find("Timesteps: "), std::string::npos) << parameters;
  const Said recorded = said_of(nlohmann::json::parse(to_json(spec.options, false).dump()), "test");
  const auto again = [&](const Said& said) {
    return make_run_spec(models, parse_options(said, models)).trajectory;
  };
  EXPECT_EQ(again(recorded), spec.trajectory);
  // Each of the two ways replaces the other.
  EXPECT_EQ(again(merged(recorded, {{"steps", {"5"}}})).size(), 5);
  EXPECT_EQ(
      again(merged({{"prompt", {"a"}}, {"sampler", {"ddim"}}, {"steps", {"5"}}}, {{"timesteps", {"7"}}}))
          .size(),
      1);
}

TEST_F(FewSteps, WhatIsWrongWithTimestepsIsRefused) {
  const auto models = models_of(of({"large"}));
  const auto refused = [&](const std::string& part, const Said& said) {
    testing::expect_error(ErrorKind::usage, part, [&] {
      spec_of(models, merged({{"sampler", {"ddim"}}}, said));
    });
  };
  refused("--timesteps has 400 behind 400, expected them to fall", {{"timesteps", {"800,400,400"}}});
  refused("--timesteps has 1000, expected 0 ... 999", {{"timesteps", {"1000"}}});
  refused("--timesteps has -1, expected 0 ... 999", {{"timesteps", {"-1"}}});
  refused("--timesteps is \"\"", {{"timesteps", {""}}});
  refused("--timesteps does not go with the sampler pndm",
          {{"timesteps", {"800,400"}}, {"sampler", {"pndm"}}});
  refused("karras sigmas have timesteps of their own",
          {{"timesteps", {"800,400"}}, {"sampler", {"euler"}}, {"scheduler", {"karras"}}});
  const auto exclude = [&](const Said& said) {
    testing::expect_error(ErrorKind::usage, "exclude each other", [&] { check_exclusive(said); });
  };
  exclude({{"timesteps", {"800"}}, {"steps", {"4"}}});
  exclude({{"timesteps", {"800"}}, {"spacing", {"trailing"}}});
}

// A network that is told the scale and one that is led away by it mean different things by a number.
TEST_F(FewSteps, MixedWithAPlainModelTheScaleMustBeSaid) {
  const auto refused = [&](const std::string& part, const std::vector<std::string>& names, const Said& said) {
    testing::expect_error(ErrorKind::usage, part, [&] { spec_of(models_of(of(names)), said); });
  };
  refused("lcm is told the scale of guidance (LCM), and large is led away", {"lcm", "large"}, {});
  refused("lcm is told the scale of guidance (LCM), and large is led away", {"large", "lcm"}, {});
  const auto allowed = [&](const std::vector<std::string>& names, const Said& said) {
    return spec_of(models_of(of(names)), said);
  };
  const RunSpec spec = allowed({"large", "lcm"}, {{"stage", {"share=0.5,cfg=1", ""}}});
  EXPECT_EQ(spec.stages[0].cfg_scale, 1);
  EXPECT_EQ(spec.stages[1].cfg_scale, 8.5);
  EXPECT_EQ(spec.options.steps, "4");
  allowed({"large", "lcm"}, {{"cfg_scale", {"2"}}});
  allowed({"large", "lcm"}, {{"ratio", {"0"}}});
}

TEST_F(FewSteps, DistilledModelsMustShareTheirTimesteps) {
  auto models = models_of(of({"lcm", "lcm_large"}));
  models[0].defaults.spacing.distilled = 100;
  testing::expect_error(ErrorKind::input, "lcm was distilled at 100 timesteps and lcm_large at 50",
                        [&] { spec_of(models, {}); });
  spec_of(models, {{"timesteps", {"999,499"}}});
  spec_of(models, {{"sampler", {"ddim"}}});
  spec_of(models, {{"ratio", {"0"}}});
}

// What a folder says of itself is its default.
TEST_F(FewSteps, FoldersSayHowTheyAreSampled) {
  const auto described = [&](const std::string& scheduler, const nlohmann::json& unet) {
    const fs::path to = folder() / "described";
    fs::remove_all(to);
    fs::copy(folder() / "large", to, fs::copy_options::recursive);
    nlohmann::json config = parse_json_file((to / "unet" / "config.json").string());
    config.update(unet);
    write(to / "unet" / "config.json", config.dump());
    write(to / "scheduler" / "scheduler_config.json", scheduler);
    return read_model_info(to.string()).defaults;
  };
  for (const char* name : {"LCMScheduler", "TCDScheduler"}) {
    const SamplingDefaults defaults = described(
        concat(R"({"clip_sample": false, "_class_name": ")", name, "\"}"), nlohmann::json::object());
    EXPECT_EQ(defaults.steps, 4) << name;
    EXPECT_EQ(defaults.cfg_scale, 1) << name;
    EXPECT_FALSE(defaults.spacing.strength_keeps_steps) << name;
  }
  const SamplingDefaults plain =
      described(R"({"_class_name": "EulerDiscreteScheduler"})", nlohmann::json::object());
  EXPECT_EQ(plain.steps, 50);
  EXPECT_EQ(plain.cfg_scale, 7.5);
}

class FewStepsXl : public OnTinySdxl {
 protected:
  static void SetUpTestSuite() {
    OnTinySdxl::SetUpTestSuite();
    tiny()->variant("told", "sdxl", {{"time_cond_proj_dim", 32}});
    for (const char* name : {"sdxl", "ssd1b"})
      write_safetensors(lora(name), lcm_lora(TinySdxl::unet(name)), {});
  }

  static std::string lora(const std::string& name) { return tiny()->path(name + "_lcm.safetensors"); }

  static Said of(const std::vector<std::string>& names, const Said& more = {}) {
    Texts paths;
    for (const std::string& name : names) paths.push_back(tiny()->path(name));
    return merged({{"model", paths}}, more);
  }
};

TEST_F(FewStepsXl, TurboAgreesWithDiffusers) {
  const Said base = {{"sampler", {"euler_a"}}, {"spacing", {"trailing"}}, {"cfg_scale", {"1"}}};
  expect_golden("turbo", of({"sdxl"}, merged(base, {{"steps", {"4"}}})));
  expect_golden("turbo_1", of({"sdxl"}, merged(base, {{"steps", {"1"}}})));
}

TEST_F(FewStepsXl, LightningAgreesWithDiffusers) {
  const Said base = {
      {"sampler", {"euler"}}, {"spacing", {"trailing"}}, {"steps", {"4"}}, {"cfg_scale", {"1"}}};
  expect_golden("lightning", of({"sdxl"}, base));
  expect_golden("lightning_stitched", of({"ssd1b", "sdxl"}, merged(base, {{"ratio", {"0.5"}}})));
  expect_golden("lightning_1", of({"sdxl"}, merged(base, {{"steps", {"1"}}, {"prediction", {"x0"}}})));
}

TEST_F(FewStepsXl, HyperSdAgreesWithDiffusers) {
  // SDXL's folder says how DDIM ends.
  nlohmann::json scheduler = TinySdxl::configs().at("scheduler");
  scheduler.update({{"set_alpha_to_one", false}, {"clip_sample", false}});
  tiny()->pipeline("published", "sdxl");
  TinySdxl::write(tiny()->path("published/scheduler/scheduler_config.json"), scheduler.dump());
  const Said ddim = {{"sampler", {"ddim"}}, {"spacing", {"trailing"}}};
  expect_golden("hyper", of({"published"}, merged(ddim, {{"steps", {"4"}}, {"cfg_scale", {"1"}}})));
  expect_golden("hyper_cfg",
                of({"published"}, merged(ddim, {{"steps", {"8"}}, {"negative_prompt", {"blurry"}}})));
  const Said tcd = {{"sampler", {"tcd"}}, {"cfg_scale", {"1"}}};
  expect_golden("hyper_unified", of({"published"}, merged(tcd, {{"steps", {"1"}}, {"eta", {"1"}}})));
  expect_golden("hyper_unified_4", of({"published"}, merged(tcd, {{"steps", {"4"}}, {"eta", {"0.5"}}})));
  expect_golden("hyper_800",
                of({"published"}, {{"sampler", {"lcm"}}, {"timesteps", {"800"}}, {"cfg_scale", {"1"}}}));
  expect_golden(
      "named_euler",
      of({"published"}, {{"sampler", {"euler"}}, {"timesteps", {"999,700,350,20"}}, {"cfg_scale", {"1"}}}));
}

TEST_F(FewStepsXl, LcmsAgreeWithDiffusers) {
  expect_golden(
      "sdxl_lcm_lora",
      of({"sdxl"}, {{"lora", {lora("sdxl")}}, {"sampler", {"lcm"}}, {"steps", {"4"}}, {"cfg_scale", {"1"}}}));
  // The published one is a U-Net alone, whose files say the rest.
  expect_golden("sdxl_lcm", of({"sdxl", "alone/told"}, {{"ratio", {"0"}}, {"cfg_scale", {"8"}}}));
  // SDXL's pipeline from a picture knows no LCMs.
  TinySdxl::write(tiny()->path("told/scheduler/scheduler_config.json"), kLcm);
  expect_golden_from_picture("sdxl_lcm_img2img", of({"told"}, {{"cfg_scale", {"8"}}}), 0.5);
}

// T-Stitch's own pair: SSD-1B with an LCM-LoRA, which is not guided, then an LCM.
TEST_F(FewStepsXl, TStitchsPairOfLcmsAgreesWithItsRule) {
  for (const char* ratio : {"0.25", "0.5"})
    expect_golden(concat("sdxl_lcm_stitched_", ratio),
                  of({"ssd1b", "alone/told"},
                     {{"stage", {concat("share=", ratio, ",cfg=1,lora=", lora("ssd1b")), "cfg=8"}}}));
}

TEST_F(FewStepsXl, TurbosFolderSaysHowItIsSampled) {
  constexpr const char* kScheduler =
      R"({"_class_name": "EulerAncestralDiscreteScheduler", "timestep_spacing": "trailing", "steps_offset": 1,
          "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"})";
  const auto defaults = [&](const std::string& name, int side, const std::string& scheduler) {
    tiny()->variant(name, "sdxl", {{"sample_size", side}});
    TinySdxl::write(tiny()->path(name + "/scheduler/scheduler_config.json"), scheduler);
    return infos({name})[0].defaults;
  };
  const SamplingDefaults turbo = defaults("turbo", 64, kScheduler);
  EXPECT_EQ(turbo.sampler, "euler_a");
  EXPECT_EQ(turbo.steps, 4);
  EXPECT_EQ(turbo.cfg_scale, 1);
  EXPECT_EQ(turbo.spacing.spacing, Spacing::trailing);
  EXPECT_EQ(defaults("large_side", 128, kScheduler).steps, 50);
  EXPECT_EQ(defaults("of_v", 64, R"({"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing",
                                     "prediction_type": "v_prediction"})")
                .steps,
            50);
  EXPECT_EQ(defaults("leading", 64, TinySdxl::configs().at("scheduler").dump()).steps, 50);
}

}  // namespace
}  // namespace tstitch
