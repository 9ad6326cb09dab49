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
    "solver_order": 1, "timestep_spacing": "trailing", "final_sigmas_type": "sigma_min"})");
  EXPECT_EQ(dpm.defaults.refusal, "");
  EXPECT_EQ(dpm.defaults.sampler, "dpm++2m_sde");
  EXPECT_EQ(dpm.defaults.solver_order, 1);
  EXPECT_EQ(dpm.defaults.spacing.sigmas, SigmaSpacing::karras);
  EXPECT_EQ(dpm.defaults.spacing.spacing, Spacing::trailing);
  EXPECT_TRUE(dpm.defaults.ends_at_lowest);
  for (const auto& [name, sampler] : {std::pair{"KDPM2DiscreteScheduler", "dpm2"},
                                      {"KDPM2AncestralDiscreteScheduler", "dpm2_a"},
                                      {"LMSDiscreteScheduler", "lms"},
                                      {"DEISMultistepScheduler", "deis"},
                                      {"DPMSolverSinglestepScheduler", "dpm++2s"},
                                      {"TCDScheduler", "tcd"}})
    EXPECT_EQ(read(concat(R"({"_class_name": ")", name, R"("})")).defaults.sampler, sampler);
  const ModelInfo single = read(R"({"_class_name": "DPMSolverSinglestepScheduler", "solver_order": 3})");
  EXPECT_EQ(single.defaults.solver_order, 3);
  EXPECT_FALSE(single.defaults.lower_order_final);
  EXPECT_TRUE(read(R"({"_class_name": "DEISMultistepScheduler"})").defaults.lower_order_final);
  EXPECT_EQ(
      read(R"({"_class_name": "LCMScheduler", "original_inference_steps": 100})").defaults.spacing.distilled,
      100);
  EXPECT_TRUE(
      read(R"({"_class_name": "DDPMScheduler", "variance_type": "fixed_large"})").defaults.large_variance);
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
  expect_refusal(R"({"_class_name": "DPMSolverSDEScheduler"})",
                 "\"_class_name\" is \"DPMSolverSDEScheduler\", expected one of DDIMScheduler, ");
  expect_refusal("{}", "\"_class_name\" is missing");
  expect_refusal(R"({"_class_name": "DPMSolverSinglestepScheduler", "algorithm_type": "sde-dpmsolver++"})",
                 "\"algorithm_type\" is \"sde-dpmsolver++\", supported is \"dpmsolver++\" or \"deis\"");
  expect_refusal(R"({"_class_name": "UniPCMultistepScheduler", "solver_order": 3})",
                 "\"solver_order\" is 3, supported is 1 or 2");
  expect_refusal(R"({"_class_name": "DDIMScheduler", "thresholding": true})",
                 "\"thresholding\" is true, supported is false");
  expect_refusal(R"({"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -5.1})",
                 "\"lambda_min_clipped\" is -5.1, supported is \"-Infinity\"");
  expect_refusal(R"({"_class_name": "DDIMScheduler", "sigma_skew": 2})",
                 "\"sigma_skew\" is 2, and no scheduler");
  expect_refusal(
      R"({"_class_name": "EulerDiscreteScheduler", "use_karras_sigmas": true, "use_exponential_sigmas": true})",
      "\"use_karras_sigmas\" and \"use_exponential_sigmas\"");
  expect_refusal(R"({"_class_name": "UniPCMultistepScheduler", "lower_order_final": false})",
                 "\"lower_order_final\" is false and \"final_sigmas_type\" \"zero\"");
  expect_refusal(R"({"_class_name": "PNDMScheduler", "prediction_type": "v_prediction"})",
                 "\"prediction_type\" is \"v_prediction\", supported is \"epsilon\"");
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
  const ModelInfo info = read(R"({"_class_name": "DPMSolverSDEScheduler", "num_train_timesteps": 3,
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

// With --sampler as well, which leaves the scheduler aside and not the training.
TEST(SchedulerConfig, TrainingWithOtherNoiseIsRefused) {
  for (const char* name : {"EDMEulerScheduler", "CosineDPMSolverMultistepScheduler"})
    testing::expect_error(ErrorKind::input, concat("\"_class_name\" is \"", name, "\", expected"),
                          [&] { read(concat(R"({"_class_name": ")", name, R"("})")); });
  const ModelInfo flow = read(R"({"_class_name": "FlowMatchHeunDiscreteScheduler", "shift": 3.0})");
  EXPECT_TRUE(flow.noise.flow());
  EXPECT_EQ(flow.noise.shift, 3);
  EXPECT_NE(flow.defaults.refusal.find("FlowMatchHeunDiscreteScheduler"), std::string::npos);
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
