// Sweeps and the choice of a trajectory on the demo family, without starting the program.
#include "tstitch/tune/sweep.h"

#include <filesystem>

#include "tests/engine/tiny_unets.h"
#include "tests/io/io_support.h"
#include "tstitch/condition/text_conditions.h"
#include "tstitch/io/file_lock.h"
#include "tstitch/nn/random_weights.h"
#include "tstitch/output/run_manifest.h"
#include "tstitch/tune/choose_trajectory.h"
#include "tstitch/zoo/assets.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

const BackendOptions kDevice = {.device = "cpu", .dtype = "f32", .threads = 1};
const SampleOptions kBase = {.steps = "3", .cfg_scale = 1, .classes = {1, 5}};

void expect_usage(const std::string& part, const std::function<void()>& action) {
  try {
    action();
    ADD_FAILURE() << "accepted, expected " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

class SweepTest : public FolderTest {
 protected:
  struct Counting final : SweepObserver {
    struct Cancelling final : RunObserver {
      explicit Cancelling(int& left) : left_(left) {}
      bool cancelled() override { return left_-- <= 0; }
      int& left_;
    };
    std::unique_ptr<RunObserver> observe(const RunSpec&) override {
      ++runs;
      return std::make_unique<Cancelling>(steps);
    }
    void finished(const CurvePoint& point, double alone) override {
      labels.push_back(point.label);
      last_alone = alone;
    }
    int runs = 0, steps = 1 << 20;
    std::vector<std::string> labels;
    double last_alone = 0;
  };

  std::optional<SweepResult> swept(const Sweep& sweep, const std::string& name, bool resume,
                                   Counting& counting) {
    Engine engine(infos_, kDevice);
    const auto fingerprints = fingerprints_of(sweep, "", engine.backend(), [] {});
    const Measure measure =
        load_measure({}, sweep.metrics, {sweep.picture(), sweep.specs[0].images()}, [] {});
    SweepState state(path(name), resume, measure.description, describe_timing(sweep, engine.backend()),
                     sweep.metrics, fingerprints);
    EXPECT_TRUE(engine.load(sweep.specs, true, [] { return false; }));
    auto result = run_sweep(engine, sweep, measure, fingerprints, state, counting);
    if (result) state.finish(result->curve, sweep.title(), draw(result->figure), {});
    return result;
  }

  const std::vector<ModelInfo> infos_ = read_model_infos(builtin_models());
};

// The scale that a network is told is its stage's, at every point.
TEST(SweepOfStages, TellEachNetworkItsGuidance) {
  const ConditionInfo text = {.kind = ConditionKind::text},
                      told = {.kind = ConditionKind::text, .told_guidance = true};
  const std::vector<ModelInfo> infos = {unet_info("told", "lcm", told, 77),
                                        unet_info("large", "sd1", text, 77)};
  SampleOptions base{.sampler = "lcm", .steps = "4", .prompts = {"a"}};
  base.stages = {parse_stage("cfg=8"), parse_stage("cfg=3,negative=b")};
  const Sweep sweep = make_sweep(infos, base, {.ratios = {0, 0.5, 1}}, {});
  const auto backend = make_backend({.dtype = "f32", .threads = 2});
  std::vector<Condition> texts;
  for (const int64_t tokens : {3, 5})
    texts.push_back({.context = random_uniform("context", {tokens, infos[0].condition.width}, 1,
                                               static_cast<uint64_t>(tokens))});
  const auto latents_of = [&](const RunSpec& spec, std::vector<ModelInfo> asked) {
    std::vector<Model> models;
    EncodedInputs inputs;
    for (const ModelInfo& info : asked) {
      models.push_back(random_model(info, 3, *backend));
      inputs.conditions.push_back(std::make_shared<TextConditions>(texts, 1));
    }
    RunObserver silent;
    const Tensor latents = run(*backend, models, spec, silent, inputs).latents;
    return std::vector<float>(latents.data<float>(), latents.data<float>() + latents.elements());
  };
  ASSERT_EQ(sweep.specs.size(), 3u);
  for (size_t i = 0; i < 2; ++i) {
    SampleOptions alone{.sampler = "lcm", .steps = "4", .cfg_scale = i == 0 ? 3 : 8, .prompts = {"a"}};
    if (i == 0) alone.negative_prompt = "b";
    const std::vector<ModelInfo> one = {infos[1 - i]};
    EXPECT_EQ(latents_of(sweep.specs[2 * i], infos), latents_of(make_run_spec(one, alone), one)) << i;
  }
  EXPECT_NE(latents_of(sweep.specs[1], infos), latents_of(sweep.specs[0], infos));
  EXPECT_EQ(sweep.specs[1].trajectory.steps_of(0), 2);
}

TEST_F(SweepTest, PointsAreDecidedBeforeAnythingIsLoaded) {
  const Sweep sweep =
      make_sweep(infos_, kBase, {.ratios = {0, 0.5, 1}, .step_counts = {"2"}, .repeats = 2}, {});
  EXPECT_EQ(sweep.points.size(), 4u);
  EXPECT_EQ(sweep.specs.size(), 8u);
  EXPECT_EQ(sweep.specs[1].options.seed, sweep.specs[0].options.seed + 1);
  EXPECT_EQ(sweep.rows, 2);
  EXPECT_EQ(sweep.picture(), Shape({28, 28, 1}));
  EXPECT_EQ(sweep.title(), "fashion-s then fashion-l: ddim, 3 steps, cfg 1, seed 0");
  expect_usage("--ratios holds 1.5", [&] { make_sweep(infos_, kBase, {.ratios = {1.5}}, {}); });
  expect_usage("--repeats is 0", [&] { make_sweep(infos_, kBase, {.repeats = 0}, {}); });
  expect_usage("--repeats is 1001", [&] { make_sweep(infos_, kBase, {.repeats = 1001}, {}); });
  expect_usage("--rows is 0", [&] { make_sweep(infos_, kBase, {.rows = 0}, {}); });
  expect_usage("exclude each other", [&] { make_sweep(infos_, kBase, {.ratios = {0}, .grid = 2}, {}); });
  expect_usage("there is 1", [&] { make_sweep({infos_[0]}, kBase, {}, {}); });
  SampleOptions cached = kBase;
  cached.stages = {{.form = {.cache = {.every = 3}}}, {}};
  expect_usage("--orders: a --stage with cache=", [&] { make_sweep(infos_, cached, {.orders = true}, {}); });
  expect_usage("a --stage with cache= has steps of unequal cost", [&] { spec_of_all(infos_, cached, true); });
  SampleOptions named{.sampler = "ddim", .classes = {0}};
  named.spacing.timesteps = {900, 400};
  expect_usage("--step-counts and --timesteps exclude each other",
               [&] { make_sweep(infos_, named, {.ratios = {0}, .step_counts = {"2"}}, {}); });
}

TEST_F(SweepTest, ACancelledSweepGoesOnWhereItWas) {
  const Sweep sweep = make_sweep(infos_, kBase, {.ratios = {0, 0.5, 1}}, {Metric::inception_score});
  Counting whole;
  const auto expected = swept(sweep, "whole.png", false, whole);
  ASSERT_TRUE(expected);
  EXPECT_EQ(whole.runs, 3);
  EXPECT_EQ(whole.labels, (std::vector<std::string>{"0", "0.5", "1"}));
  EXPECT_GT(whole.last_alone, 0);
  EXPECT_EQ(expected->figure.columns.size(), 3u);
  for (const char* file : {"whole.png", "whole.json", "whole.csv", "whole-is.svg", "whole-is.png"})
    EXPECT_TRUE(fs::exists(path(file))) << file;
  EXPECT_FALSE(fs::exists(path("whole.parts")));

  Counting cut;
  cut.steps = 4;  // in the middle of the second run
  EXPECT_FALSE(swept(sweep, "cut.png", false, cut));
  EXPECT_TRUE(fs::exists(path("cut.parts/curve.json")));
  EXPECT_FALSE(fs::exists(path("cut.json")));
  EXPECT_FALSE(fs::exists(path("cut.parts/lock")) && !FileLock::attempt(path("cut.parts/lock")));
  Counting refused, resumed;
  expect_usage("unfinished sweep", [&] { swept(sweep, "cut.png", false, refused); });
  const auto again = swept(sweep, "cut.png", true, resumed);
  ASSERT_TRUE(again);
  EXPECT_EQ(resumed.runs, 2);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(again->curve.points[i].mean, expected->curve.points[i].mean) << i;
    EXPECT_EQ(again->figure.columns[i].images[0].pixels, expected->figure.columns[i].images[0].pixels) << i;
  }
}

TEST_F(SweepTest, WhatWasRefusedLeavesNothing) {
  const Sweep sweep = make_sweep(infos_, kBase, {.ratios = {0, 1}}, {});
  Counting counting;
  ASSERT_TRUE(swept(sweep, "s.png", false, counting));
  const size_t before = files();
  const Sweep other =
      make_sweep(infos_, {.steps = "2", .cfg_scale = 1, .classes = {1}}, {.ratios = {0, 1}}, {});
  expect_usage("has a run that this sweep has not", [&] { swept(other, "s.png", true, counting); });
  // The pictures would be the same, the times of two clocks would not compare.
  SampleOptions slower = kBase;
  slower.batch_size = 1;
  const Sweep timed = make_sweep(infos_, slower, {.ratios = {0, 1}}, {});
  expect_usage("times of both do not compare", [&] { swept(timed, "s.png", true, counting); });
  EXPECT_EQ(files(), before);

  write("plan.json", "{\"format\": \"tstitch-plan-1\"}");
  expect_usage("is not of a sweep", [&] { swept(sweep, "plan.png", false, counting); });
  EXPECT_FALSE(fs::exists(path("plan.parts")));

  fs::create_directory(path("t.parts"));
  const auto lock = FileLock::attempt(path("t.parts/lock"));
  expect_usage("another process is at work there", [&] { swept(sweep, "t.png", false, counting); });
  EXPECT_TRUE(fs::exists(path("t.parts/lock")));
}

TEST_F(SweepTest, ATrajectoryIsChosenForAGoal) {
  const RunSpec all = spec_of_all(infos_, kBase);
  Engine engine(infos_, kDevice);
  EXPECT_TRUE(engine.load({&all, 1}, true, [] { return false; }));
  const auto never = [] { return false; };
  const auto fast = choose_trajectory(engine, kBase, {.speedup = 1.5, .probes = 2}, never);
  ASSERT_TRUE(fast);
  EXPECT_EQ(fast->models, names_of(infos_));
  EXPECT_GE(fast->speedup.value_or(0), 1.4);
  EXPECT_GT(fast->divergence, 0);
  EXPECT_EQ(fast->change(), kSigmaData * fast->divergence);
  EXPECT_GT(chosen_run(infos_, kBase, *fast).trajectory.steps_of(0), 0);
  const auto slow = choose_trajectory(engine, kBase, {.budget = 3600}, never);
  ASSERT_TRUE(slow);
  EXPECT_EQ(chosen_run(infos_, kBase, *slow).trajectory.steps_of(0), 0);
  EXPECT_FALSE(choose_trajectory(engine, kBase, {.budget = 3600}, [] { return true; }));
  expect_usage("no trajectory is that fast",
               [&] { choose_trajectory(engine, kBase, {.budget = 1e-9}, never); });
  expect_usage("too few", [&] { spec_of_all(infos_, {.steps = "1"}); });
  SampleOptions steered = kBase;
  steered.controls = {{.path = "edges", .image = "hint.png", .interval = {0, 0.5}}};
  expect_usage("--control-net with interval= has steps of unequal cost",
               [&] { spec_of_all(infos_, steered, true); });
  ChosenTrajectory named = *fast;  // of a sweep with --timesteps
  named.steps_option = "";
  expect_usage("named timesteps: expected the --timesteps", [&] { chosen_run(infos_, kBase, named); });
  // Of a curve's points only those that fit what is asked for.
  Curve curve{.models = names_of(infos_), .cfg_scale = 1, .measured = "", .timed = "", .points = {}};
  for (const char* steps : {"3", "2"}) {
    SampleOptions one = kBase;
    one.steps = steps;
    one.fractions = {0, 1};
    const RunSpec spec = make_run_spec(infos_, one);
    curve.points.push_back({.kind = "steps",
                            .label = steps,
                            .fractions = {0, 1},
                            .sampler = "ddim",
                            .steps_option = steps,
                            .steps = spec.trajectory.size(),
                            .levels = hash_of_levels(spec.trajectory),
                            .eta = 0,
                            .assignment = format_assignment(spec.trajectory.assignment()),
                            .evaluations = {0, spec.trajectory.size()},
                            .runs = {{.run = steps,
                                      .images = 2,
                                      .seconds = 1,
                                      .model_seconds = {0, 1},
                                      .metrics = {{Metric::fid, *steps == '3' ? 9.0 : 1.0}}}},
                            .mean = {},
                            .deviation = {}});
  }
  summarise(curve);
  Goal goal{.budget = 3600, .curve_file = "c.json", .curve = curve};
  EXPECT_EQ(choose_trajectory(engine, kBase, goal, never)->steps, 2);  // the better one
  goal.steps_said = true;
  EXPECT_EQ(choose_trajectory(engine, kBase, goal, never)->steps, 3);
  goal.sampler_said = true;
  SampleOptions euler = kBase;
  euler.sampler = "euler";
  expect_usage("and these --steps and --sampler", [&] { choose_trajectory(engine, euler, goal, never); });

  // Written and read back it is the same, and what contradicts it is refused.
  const std::string file = write("plan.json", to_json(*fast));
  const ChosenTrajectory read = read_chosen_trajectory(file);
  EXPECT_EQ(to_json(read).substr(0, 200), to_json(*fast).substr(0, 200));
  EXPECT_EQ(with_choice({{"seed", {"4"}}}, read).at("assignment"), Texts{fast->assignment});
  expect_usage("excludes --ratio", [&] { with_choice({{"ratio", {"0.5"}}}, read); });
  expect_usage("--cfg-scale 1, not 3", [&] { with_choice({{"cfg_scale", {"3"}}}, read); });
  expect_usage("--steps 3, not 4", [&] { with_choice({{"steps", {"4"}}}, read); });
  EXPECT_NO_THROW(with_choice({{"cfg_scale", {"1.0"}}}, read));  // the same in other words
  SampleOptions other = kBase;
  other.spacing.spacing = Spacing::trailing;
  expect_usage("other noise levels", [&] { chosen_run(infos_, other, read); });
}

}  // namespace
}  // namespace tstitch
