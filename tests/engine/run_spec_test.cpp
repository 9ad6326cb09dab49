#include "tstitch/engine/run_spec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "tstitch/base/error.h"
#include "tstitch/zoo/families/dit.h"
#include "tstitch/zoo/noise_config.h"

namespace tstitch {
namespace {

ModelInfo model(const std::string& name) { return dit_info({.patch_size = 2}, name); }

const std::vector<ModelInfo> kPair = {model("small"), model("large")};

void expect_refused(ErrorKind kind, const std::string& part, const std::vector<ModelInfo>& models,
                    const SampleOptions& options) {
  try {
    make_run_spec(models, options);
    ADD_FAILURE() << "accepted; expected: " << part;
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), kind) << e.what();
    EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
  }
}

TEST(RunSpec, DefaultsAreTheReferences) {
  const RunSpec spec = make_run_spec(kPair, {});
  EXPECT_EQ(spec.trajectory.size(), 50);
  EXPECT_EQ(spec.trajectory.steps_of(0), 20);  // 40 %
  EXPECT_EQ(spec.options.sampler, "ddim");
  EXPECT_EQ(*spec.options.cfg_scale, 4);
  EXPECT_EQ(spec.cfg_channels, 3);
  EXPECT_EQ(spec.subjects, (std::vector<int64_t>{207, 360, 387, 974, 88, 979, 417, 279}));
  EXPECT_EQ(spec.height, 32);
}

// The order falls where diffusers' does, counted in the whole trajectory's steps, also where an initial
// picture leaves some out.
TEST(RunSpec, SingleStepsLowerTheirLastWholeOne) {
  const auto order_of_last = [](const char* steps, double strength, int order) {
    std::vector<ModelInfo> models = {model("one")};
    models[0].defaults.sampler = "dpm++2s";
    models[0].defaults.solver.order = order;
    models[0].defaults.ends_at_lowest = true;  // a step that ends clean is of order 1 anyway
    SampleOptions options = {.sampler = "dpm++2s", .steps = steps, .strength = strength};
    options.init_image = Tensor({3, 256, 256}, DType::f32);
    std::fill_n(options.init_image.data<float>(), options.init_image.elements(), 0.0f);
    const RunSpec spec = make_run_spec(models, options);
    EXPECT_EQ(spec.solver.left_out, spec.all_steps - spec.trajectory.size());
    return spec.solver.order_of(spec.trajectory[spec.trajectory.size() - 1]);
  };
  EXPECT_EQ(order_of_last("10", 1, 2), 1);
  EXPECT_EQ(order_of_last("10", 0.9, 2), 1);
  EXPECT_EQ(order_of_last("11", 1, 2), 2);  // a first of a pair
  EXPECT_EQ(order_of_last("12", 0.5, 3), 1);
  EXPECT_EQ(order_of_last("11", 0.5, 3), 3);
}

// Those that need levels between the trajectory's find them in the schedule that the trajectory is of.
TEST(RunSpec, TheSolverKnowsTheSchedule) {
  std::vector<ModelInfo> models = {model("one")};
  models[0].noise.zero_snr = true;
  const RunSpec spec = make_run_spec(models, {.sampler = "dpm2", .steps = "10"});
  EXPECT_EQ(spec.trajectory[0].level, spec.solver.schedule->level(999));
  EXPECT_GT(spec.trajectory[0].level.alpha, 0);
}

TEST(RunSpec, PixelModelsGuideAllTheirChannels) {
  ModelInfo pixels = dit_info({.in_channels = 1, .num_classes = 3}, "pixels");
  pixels.pixels_per_latent = 1;
  pixels.pixels = true;
  const RunSpec spec = make_run_spec({pixels}, {.batch_count = 2});
  EXPECT_EQ(spec.cfg_channels, 1);
  EXPECT_EQ(spec.subjects, (std::vector<int64_t>{0, 0, 1, 1, 2, 2}));
}

TEST(RunSpec, RandomClassesDependOnTheSeedAlone) {
  SampleOptions options{.random_classes = true, .batch_count = 200, .seed = 5};
  const auto classes = make_run_spec(kPair, options).subjects;
  options.batch_count = 50;
  const auto fewer = make_run_spec(kPair, options).subjects;
  EXPECT_TRUE(std::equal(fewer.begin(), fewer.end(), classes.begin()));
  options.seed = 6;
  EXPECT_NE(make_run_spec(kPair, options).subjects, fewer);
  EXPECT_GT(std::set<int64_t>(classes.begin(), classes.end()).size(), 150u);
  for (const int64_t c : classes) EXPECT_TRUE(0 <= c && c < 1000);
}

TEST(RunSpec, OtherSizesAreInPixels) {
  const RunSpec spec = make_run_spec(kPair, {.width = 512, .height = 128});
  EXPECT_EQ(spec.width, 64);
  EXPECT_EQ(spec.height, 16);
}

// 272 pixels are 34 latents: patches of 2 fit, those of 8 do not, whoever comes last.
TEST(RunSpec, SizesFitEveryModel) {
  const ModelInfo fine = model("fine"), coarse = dit_info({.patch_size = 8}, "coarse");
  EXPECT_EQ(make_run_spec({fine}, {.width = 272}).width, 34);
  expect_refused(ErrorKind::usage, "--width is 272, expected a multiple of 64", {coarse, fine},
                 {.width = 272});
  expect_refused(ErrorKind::usage, "--width is 272, expected a multiple of 64", {fine, coarse},
                 {.width = 272});
}

TEST(RunSpec, AdaptiveSwitchingNeedsTwoModelsAndNoOtherWord) {
  EXPECT_EQ(make_run_spec(kPair, {}).switch_threshold, std::nullopt);
  EXPECT_EQ(make_run_spec(kPair, {.adaptive = true}).switch_threshold, 5.0 / 80);  // guidance 4
  EXPECT_EQ(make_run_spec(kPair, {.adaptive = true, .cfg_scale = 1}).switch_threshold, 0.025);
  EXPECT_EQ(make_run_spec(kPair, {.adaptive = true, .switch_threshold = 0.2}).switch_threshold, 0.2);
  EXPECT_TRUE(make_run_spec(kPair, {.adaptive = true}).uses(1));
  const auto usage = ErrorKind::usage;
  expect_refused(usage, "excludes shares", kPair, {.fractions = {0.5, 0.5}, .adaptive = true});
  expect_refused(usage, "excludes shares", kPair, {.switch_steps = {3}, .adaptive = true});
  expect_refused(usage, "excludes shares", kPair, {.assignment = std::vector<int>(50), .adaptive = true});
  expect_refused(usage, "there is 1 model", {kPair[0]}, {.adaptive = true});
  expect_refused(usage, "there are 3 models", {kPair[0], kPair[1], kPair[1]}, {.adaptive = true});
  expect_refused(usage, "--switch-threshold", kPair, {.switch_threshold = 0.1});
  expect_refused(usage, "--switch-threshold", kPair, {.adaptive = true, .switch_threshold = -0.1});
  expect_refused(usage, "--switch-threshold", kPair, {.adaptive = true, .switch_threshold = NAN});
  expect_refused(usage, "--solver-reset", kPair, {.adaptive = true, .solver_reset = true});
}

TEST(RunSpec, OptionsOutOfRangeAreRefusedByName) {
  const auto usage = ErrorKind::usage;
  expect_refused(usage, "fractions", kPair, {.fractions = {1}});
  expect_refused(usage, "add up to 0.9", kPair, {.fractions = {0.4, 0.5}});
  expect_refused(usage, "--switch-step", kPair, {.switch_steps = {1, 2}});
  expect_refused(usage, "51", kPair, {.switch_steps = {51}});
  expect_refused(usage, "named for 2 steps, but the trajectory has 3", kPair,
                 {.assignment = {0, 1}, .steps = "3"});
  expect_refused(usage, "model 3, but there are 2", kPair, {.assignment = {0, 2}, .steps = "2"});
  expect_refused(usage, "model 0, but there are 2", kPair, {.assignment = {-1, 1}, .steps = "2"});
  expect_refused(usage, "flow_euler", kPair, {.sampler = "flow_euler"});
  expect_refused(usage, "--sampler", kPair, {.sampler = "dd"});
  expect_refused(usage, "0", kPair, {.steps = "0"});
  expect_refused(usage, "1001", kPair, {.steps = "1001"});
  expect_refused(usage, "--rng \"cuda\" is not known, expected one of: philox, torch, torch-cuda", kPair,
                 {.rng = "cuda"});
  expect_refused(usage, "--eta", kPair, {.eta = 1.5});
  expect_refused(usage, "--cfg-scale", kPair, {.cfg_scale = std::nan("")});
  expect_refused(usage, "--cfg-scale is 1001, expected more than 1 ... 1000, or 1 or 0 for none", kPair,
                 {.cfg_scale = 1001});
  expect_refused(usage, "--cfg-channels", kPair, {.cfg_channels = 5});
  expect_refused(usage, "--class 1000", kPair, {.classes = {1000}});
  expect_refused(usage, "--class -1", kPair, {.classes = {-1}});
  expect_refused(usage, "--batch-count", kPair, {.batch_count = 0});
  expect_refused(usage, "--batch-size", kPair, {.batch_size = 0});
  expect_refused(usage, "--uncond", kPair, {.null_context = Tensor({1}, DType::f32)});
  expect_refused(usage, "--width", kPair, {.width = 100});
  expect_refused(usage, "--height", kPair, {.height = -16});
  expect_refused(ErrorKind::input, "--init-latent", kPair,
                 {.given = {.initial = Tensor({2, 4, 32, 32}, DType::f32), .steps = {}}});
  expect_refused(ErrorKind::input, "--noise", kPair,
                 {.given = {.initial = {}, .steps = Tensor({8, 4, 32, 32}, DType::f32)}});
}

TEST(RunSpec, ModelsOfEpsAndVShareATrajectory) {
  ModelInfo eps = model("eps"), v = model("v");
  v.prediction = Parameterization::v;
  EXPECT_EQ(make_run_spec({eps, v}, {}).trajectory.steps_of(0), 20);
  // Without any signal only a model of v can begin.
  eps.noise.zero_snr = v.noise.zero_snr = true;
  eps.path = "eps.safetensors";
  EXPECT_EQ(make_run_spec({v, eps}, {}).trajectory[0].level.alpha, 0);
  expect_refused(ErrorKind::input, "\"eps.safetensors\" predicts eps", {eps, v}, {});
}

TEST(RunSpec, EulerIsTheSolverOfRectifiedFlows) {
  ModelInfo flow = model("flow");
  describe_flow(flow);
  const RunSpec euler = make_run_spec({flow}, {.sampler = "euler"}), usual = make_run_spec({flow}, {});
  EXPECT_EQ(euler.options.sampler, "flow_euler");
  EXPECT_EQ(euler.trajectory, usual.trajectory);
  EXPECT_EQ(euler.initial_scale, 1);
  expect_refused(ErrorKind::usage, "which is a rectified flow", {flow}, {.sampler = "heun"});
}

// The level that comes twice moves with the start; every level keeps the model it has in the whole
// trajectory.
TEST(RunSpec, PndmFromAPictureKeepsTheModelOfEveryLevel) {
  SampleOptions options{.switch_steps = {7}, .sampler = "pndm", .steps = "10"};
  const RunSpec whole = make_run_spec(kPair, options);
  options.init_image = Tensor({3, 256, 256}, DType::f32);
  for (const auto& [strength, small] : {std::pair{0.6, 3}, {0.5, 1}, {0.4, 0}}) {
    options.strength = strength;
    const RunSpec part = make_run_spec(kPair, options);
    EXPECT_EQ(part.trajectory.steps_of(0), small) << strength;
    for (const Step& step : part.trajectory)
      for (const Step& of_whole : whole.trajectory)
        if (of_whole.level == step.level) {
          EXPECT_EQ(step.denoiser, of_whole.denoiser) << step.level.t;
        }
  }
}

TEST(RunSpec, TheSchedulersSettingsAreThoseOfItsSampler) {
  ModelInfo scheduled = model("scheduled");
  scheduled.defaults.sampler = "unipc";
  scheduled.defaults.solver = {.order = 3, .uncorrected = {0, 6}, .thresholding = Thresholding{}};
  SampleOptions options{.steps = "10"};
  const SolverOptions whole = make_run_spec({scheduled}, options).solver;
  EXPECT_EQ(whole.order, 3);
  EXPECT_EQ(whole.end, 10);
  EXPECT_TRUE(whole.thresholding);
  options.init_image = Tensor({3, 256, 256}, DType::f32);
  options.strength = 0.5;
  const SolverOptions part = make_run_spec({scheduled}, options).solver;
  EXPECT_EQ(part.end, 5);
  EXPECT_EQ(part.uncorrected, (std::vector<int>{0, 6}));
  options.sampler = "dpm++2m";
  EXPECT_EQ(scheduler_settings(make_run_spec({scheduled}, options).solver), "");
  scheduled.defaults.sampler = "dpm++2m";
  EXPECT_EQ(scheduler_settings(make_run_spec({scheduled}, options).solver),
            "solver_order 3, lower_order_final, disable_corrector 0 6, thresholding 0.995 1");
  options.steps = "20";
  EXPECT_EQ(make_run_spec({scheduled}, options).solver.end, SolverOptions{}.end);
}

TEST(RunSpec, ModelsThatDoNotFitAreRefusedWithBothNames) {
  ModelInfo other = model("other");
  other.side = 64;
  expect_refused(ErrorKind::input, "4 x 32 x 32 and 4 x 64 x 64", {kPair[0], other}, {});
  other = model("other");
  other.condition.num_classes = 10;
  expect_refused(ErrorKind::input, "1000 and 10", {kPair[0], other}, {});
  other = model("other");
  other.noise.end = 0.012;
  expect_refused(ErrorKind::input, "\"small\" and \"other\" cannot be stitched", {kPair[0], other}, {});
  EXPECT_TRUE(stitch_obstacles(kPair[0], kPair[1]).empty());
}

}  // namespace
}  // namespace tstitch
