#include "tstitch/zoo/scheduler_config.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/expect_error.h"
#include "tstitch/base/error.h"
#include "tstitch/io/json.h"
#include "tstitch/zoo/scheduler_keys.h"

namespace tstitch {
namespace {

ModelInfo read(const std::string& text) {
  const ModelConfig config = {parse_python_json(text, "scheduler_config.json"), "scheduler_config.json"};
  ModelInfo info;
  read_training(config, info);
  read_sampling(config, info);
  return info;
}

std::string refusal(const std::string& text) { return read(text).defaults.refusal; }

void expect_refusal(const std::string& text, const std::string& part) {
  EXPECT_NE(refusal(text).find("scheduler_config.json: " + part), std::string::npos) << refusal(text);
  EXPECT_NE(refusal(text).find("--sampler"), std::string::npos) << refusal(text);
}

TEST(SchedulerConfig, SaysWhoSamplesAndHow) {
  const ModelInfo dpm = read(R"({"_class_name": "DPMSolverMultistepScheduler", "_diffusers_version": "0.42.1",
    "lambda_min_clipped": -Infinity, "algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": true,
    "solver_order": 3, "solver_type": "heun", "timestep_spacing": "trailing", "final_sigmas_type": "sigma_min"})");
  EXPECT_EQ(dpm.defaults.refusal, "");
  EXPECT_EQ(dpm.defaults.sampler, "dpm++2m_sde");
  EXPECT_EQ(dpm.defaults.solver.order, 3);
  EXPECT_TRUE(dpm.defaults.solver.heun);
  EXPECT_EQ(scheduler_settings(dpm.defaults.solver), "solver_order 3, solver_type heun");
  EXPECT_EQ(dpm.defaults.spacing.sigmas, SigmaSpacing::karras);
  EXPECT_EQ(dpm.defaults.spacing.spacing, Spacing::trailing);
  EXPECT_TRUE(dpm.defaults.ends_at_lowest);
  EXPECT_EQ(
      read(R"({"_class_name": "LCMScheduler", "original_inference_steps": 100})").defaults.spacing.distilled,
      100);
  EXPECT_TRUE(read(R"({"_class_name": "DDPMScheduler", "variance_type": "fixed_large"})")
                  .defaults.solver.large_variance);
  const ModelInfo unipc =
      read(R"({"_class_name": "UniPCMultistepScheduler", "solver_order": 1, "solver_type": "bh1",
    "final_sigmas_type": "sigma_min", "disable_corrector": [0, 2], "use_beta_sigmas": true, "sigma_min": 0.5,
    "sigma_max": 12, "thresholding": true, "dynamic_thresholding_ratio": 0.9, "sample_max_value": 1.5})");
  EXPECT_EQ(unipc.defaults.refusal, "");
  EXPECT_EQ(scheduler_settings(unipc.defaults.solver),
            "solver_order 1, solver_type bh1, disable_corrector 0 2, thresholding 0.9 1.5");
  EXPECT_EQ(unipc.defaults.spacing.sigmas, SigmaSpacing::beta);
  EXPECT_EQ(unipc.defaults.spacing.lowest, 0.5);
  EXPECT_EQ(unipc.defaults.spacing.highest, 12);
  EXPECT_EQ(
      read(R"({"_class_name": "DPMSolverMultistepScheduler", "use_lu_lambdas": true, "solver_type": "bh1"})")
          .defaults.spacing.sigmas,
      SigmaSpacing::lu);
  EXPECT_EQ(
      scheduler_settings(read(R"({"_class_name": "LCMScheduler", "timestep_scaling": 5})").defaults.solver),
      "timestep_scaling 5");
  EXPECT_EQ(scheduler_settings({}), "");
}

TEST(SchedulerConfig, AbsentKeysAreDiffusersDefaultsOfThatClass) {
  EXPECT_EQ(read(R"({"_class_name": "HeunDiscreteScheduler"})").noise,
            (TrainingNoise{"linear", 0.00085, 0.012, 1, 1000}));
  EXPECT_EQ(read(R"({"_class_name": "LCMScheduler"})").noise,
            (TrainingNoise{"scaled_linear", 0.00085, 0.012, 1, 1000}));
  // Heun's own default is Heun's alone: other samplers of its folder keep theirs (stable_diffusion_test).
  EXPECT_EQ(read(R"({"_class_name": "HeunDiscreteScheduler"})").defaults.spacing.spacing, std::nullopt);
  EXPECT_FALSE(read(R"({"_class_name": "PNDMScheduler"})").defaults.spacing.ends_clean.has_value());
  expect_refusal(R"({"_class_name": "PNDMScheduler"})",
                 "\"skip_prk_steps\" is false where it is not said, as in PNDMScheduler, supported is true");
}

TEST(SchedulerConfig, WhatIsNotFollowedIsNamed) {
  expect_refusal(R"({"_class_name": "DEISMultistepScheduler"})",
                 "\"_class_name\" is \"DEISMultistepScheduler\", expected one of DDIMScheduler, ");
  expect_refusal("{}", "\"_class_name\" is missing");
  expect_refusal(R"({"_class_name": "UniPCMultistepScheduler", "solver_order": 4})",
                 "\"solver_order\" is 4, supported is 1 or 2 or 3");
  expect_refusal(R"({"_class_name": "UniPCMultistepScheduler", "solver_order": "3"})",
                 "\"solver_order\" is \"3\", supported is 1 or 2 or 3");
  expect_refusal(R"({"_class_name": "DDIMScheduler", "thresholding": "yes"})",
                 "\"thresholding\" is \"yes\", supported is false or true");
  expect_refusal(R"({"_class_name": "DDIMScheduler", "thresholding": true, "dynamic_thresholding_ratio": 2})",
                 "\"dynamic_thresholding_ratio\" is 2");
  expect_refusal(R"({"_class_name": "UniPCMultistepScheduler", "disable_corrector": [0.5]})",
                 "\"disable_corrector\"");
  expect_refusal(R"({"_class_name": "EulerDiscreteScheduler", "sigma_min": -1})", "\"sigma_min\" is -1");
  expect_refusal(R"({"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -5.1})",
                 "\"lambda_min_clipped\" is -5.1, supported is \"-Infinity\"");
  expect_refusal(R"({"_class_name": "DDIMScheduler", "sigma_skew": 2})",
                 "\"sigma_skew\" is 2, and no scheduler");
  expect_refusal(
      R"({"_class_name": "EulerDiscreteScheduler", "use_karras_sigmas": true, "use_exponential_sigmas": true})",
      "\"use_karras_sigmas\" and \"use_exponential_sigmas\"");
  expect_refusal(R"({"_class_name": "PNDMScheduler", "skip_prk_steps": true, "prediction_type": "sample"})",
                 "\"prediction_type\" is \"sample\", supported is \"epsilon\" or \"v_prediction\"");
  expect_refusal(R"({"_class_name": "FlowMatchEulerDiscreteScheduler", "use_dynamic_shifting": true})",
                 "\"use_dynamic_shifting\" is true, supported is false");
}

TEST(SchedulerConfig, WhatHasNoEffectIsAccepted) {
  for (
      const char* text :
      {R"({"_class_name": "DDIMScheduler", "clip_sample": true, "steps_offset": 7, "trained_betas": null})",
       R"({"_class_name": "PNDMScheduler", "skip_prk_steps": true, "clip_sample": false, "tensor_format": "pt"})",
       R"({"_class_name": "LCMScheduler", "timestep_spacing": "trailing", "timestep_scaling": 10})"})
    EXPECT_EQ(refusal(text), "") << text;
}

TEST(SchedulerConfig, TheTrainingIsAlwaysRead) {
  const ModelInfo info = read(R"({"_class_name": "DEISMultistepScheduler", "num_train_timesteps": 3,
    "trained_betas": [0.1, 0.2, 0.3], "rescale_betas_zero_snr": true, "prediction_type": "v_prediction"})");
  EXPECT_FALSE(info.defaults.refusal.empty());
  EXPECT_EQ(info.prediction, Parameterization::v);
  const NoiseSchedule schedule = info.noise.betas();
  EXPECT_DOUBLE_EQ(schedule.alphas_cumprod()[0], 0.9);
  EXPECT_EQ(schedule.alphas_cumprod()[2], 0);
  testing::expect_error(ErrorKind::input, "\"trained_betas\" is 1 values, expected an array of 1000 numbers",
                        [] { read(R"({"trained_betas": [0.1]})"); });
  testing::expect_error(ErrorKind::input, "\"trained_betas\" has \"NaN\"",
                        [] { read(R"({"num_train_timesteps": 1, "trained_betas": [NaN]})"); });
  testing::expect_error(ErrorKind::input, "\"beta_schedule\" is \"exp\"",
                        [] { read(R"({"beta_schedule": "exp"})"); });
}

TEST(SchedulerConfig, TheDocumentHasTheTable) {
  std::ifstream file(std::string(TSTITCH_SOURCE_DIR) + "/docs/solvers.md");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_NE(text.str().find("\n" + scheduler_key_table()), std::string::npos)
      << "docs/solvers.md, expected to have this table:\n"
      << scheduler_key_table();
}

}  // namespace
}  // namespace tstitch
