// Models in cheaper forms, merged tokens and cached blocks, from noise to final latents against PyTorch
// (tools/goldens/make_twin_goldens.py): alone, stitched with themselves and with others; and what must be
// equal or refused.
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "tests/engine/tiny_sd.h"
#include "tests/support/expect_error.h"
#include "tests/support/fake_device.h"
#include "tests/support/tiny_control_nets.h"
#include "tstitch/diffusion/step_batcher.h"
#include "tstitch/engine/evaluation_counts.h"
#include "tstitch/engine/fields.h"
#include "tstitch/engine/report.h"

namespace tstitch {
namespace {

constexpr double kTolerance = 2e-5;  // relative, in f32

std::string bytes_of(const Tensor& x) {
  return {reinterpret_cast<const char*>(x.bytes()), static_cast<size_t>(x.elements() * size_of(x.dtype()))};
}

class Twins : public StableDiffusion {
 protected:
  static std::string path(const std::string& model) { return (folder() / model).string(); }

  SampleOptions asked(const std::string& sampler, double ratio, const std::vector<std::string>& models,
                      const std::vector<std::string>& stages) const {
    SampleOptions options = this->options(sampler, ratio);
    if (sampler == "heun") options.spacing.spacing = Spacing::linspace;  // as diffusers has it
    for (const std::string& model : models) options.models.push_back(path(model));
    for (const std::string& stage : stages) options.stages.push_back(parse_stage(stage));
    return options;
  }
  static Tensor sampled(Backend& backend, const SampleOptions& options) {
    return latents_of(backend, read_models(options), options);
  }

  std::unique_ptr<Backend> backend_ = make_backend({.dtype = "f32", .threads = 2});
};

struct Case {
  const char *golden, *sampler;
  double ratio;
  std::vector<std::string> models, stages;
};

const Case kCases[] = {
    {"merge", "pndm", 0, {"large", "large"}, {"", "merge=0.5"}},
    {"merge_all", "euler", 0, {"large", "large"}, {"", "merge=0.75"}},
    {"merge_small", "ddim", 1, {"small", "large"}, {"merge=0.3", ""}},
    {"merge_stitched", "ddim", 0.4, {"small", "large"}, {"", "merge=0.5"}},
    {"merge_twin", "pndm", 0.4, {"large", "large"}, {"merge=0.5", ""}},
    {"cache", "pndm", 0, {"large", "large"}, {"", "cache=3"}},
    {"cache_helper", "euler", 0, {"large", "large"}, {"", "cache=2:helper"}},
    {"cache_small", "ddim", 1, {"small", "large"}, {"cache=2:paper", ""}},
    {"cache_small_helper", "ddim", 1, {"small", "large"}, {"cache=3:helper", ""}},
    {"cache_stitched", "ddim", 0.4, {"small", "large"}, {"cache=3", "cache=2"}},
    {"cache_twin", "ddim", 0.4, {"large", "large"}, {"cache=3", ""}},
    {"cache_heun", "heun", 0.4, {"small", "large"}, {"", "cache=3"}},
    {"cache_interval", "ddim", 0, {"large", "large"}, {"", "cache=3,cfg-interval=0.4:0.8"}},
    {"cache_around", "ddim", 0, {"large", "large"}, {"", "cache=3:center=4"}},
    {"cache_around_heun", "heun", 0.4, {"small", "large"}, {"", "cache=3:helper:center=6:power=1.2"}},
    {"both", "ddim", 0.4, {"large", "large"}, {"merge=0.5,cache=3", "merge=0.25"}},
};

TEST_F(Twins, AgreeWithPyTorch) {
  for (const auto& [name, sampler, ratio, models, stages] : kCases)
    EXPECT_LE(relative_error(sampled(*backend_, asked(sampler, ratio, models, stages)),
                             golden(concat("twins/", name, ".npy"))),
              kTolerance)
        << name;
}

// A stage that comes back knows nothing of what it kept before others served.
TEST_F(Twins, AStageBeginsWithAWholeEvaluation) {
  SampleOptions twice = asked("ddim", 0, {"large", "small"}, {"cache=9", ""});
  twice.fractions.clear();
  twice.assignment = {0, 0, 1, 0, 0, 0, 1, 0, 0, 0};
  SampleOptions apart = asked("ddim", 0, {"large", "small", "large", "small", "large"},
                              {"cache=9", "", "cache=9", "", "cache=9"});
  apart.fractions.clear();
  apart.assignment = {0, 0, 1, 2, 2, 2, 3, 4, 4, 4};
  const std::string latents = bytes_of(sampled(*backend_, twice));
  EXPECT_EQ(latents, bytes_of(sampled(*backend_, apart)));
  apart.stages[2] = apart.stages[4] = {};
  EXPECT_NE(latents, bytes_of(sampled(*backend_, apart)));
}

// What is whole is counted as it falls: by evaluation, and anew whenever a stage comes back.
TEST_F(Twins, WhatIsWholeIsCountedAsItFalls) {
  const auto counts = [&](const SampleOptions& options, int stage) {
    const EvaluationCounts of_stage = evaluation_counts(make_run_spec(read_models(options), options), stage);
    return std::pair{of_stage.all, of_stage.whole};
  };
  using Pair = std::pair<int64_t, int64_t>;
  const SampleOptions twin = asked("ddim", 0.4, {"large", "large"}, {"cache=3", ""});
  EXPECT_EQ(counts(twin, 0), Pair(4, 2));
  EXPECT_EQ(counts(twin, 1), Pair(6, 6));
  EXPECT_EQ(counts(asked("heun", 0.4, {"small", "large"}, {"", "cache=3:center=6"}), 1), Pair(11, 4));
  SampleOptions twice = asked("ddim", 0, {"large", "small"}, {"cache=9", ""});
  twice.fractions.clear();
  twice.assignment = {0, 0, 1, 0, 0, 0, 1, 0, 1, 1};
  EXPECT_EQ(counts(twice, 0), Pair(6, 3));

  const auto gflop = [&](const SampleOptions& options, size_t model) {
    const std::vector<ModelInfo> infos = read_models(options);
    std::vector<Model> models;
    for (const ModelInfo& info : infos) models.push_back({.info = info, .network = nullptr});
    const RunSpec spec = make_run_spec(infos, options);
    const auto report = nlohmann::json::parse(json_spec(spec, models, ""));
    EXPECT_EQ(describe_what_saves_nothing(spec, infos).size(), report["steps"] == "1" ? 1u : 0u);
    return report["models"][model]["gflop_per_evaluation"].get<double>();
  };
  const double whole = gflop(twin, 1), half = gflop(twin, 0),
               third = gflop(asked("ddim", 0.3, {"large", "large"}, {"cache=3", ""}), 0);
  EXPECT_LT(half, whole);
  EXPECT_NEAR((whole - third) / (whole - half), 4.0 / 3, 1e-9);  // two of three are not, two of four
  SampleOptions once = asked("ddim", 0, {"large", "large"}, {"", "cache=3:center=0"});
  once.steps = "1";
  EXPECT_EQ(gflop(once, 1), whole);
  const std::vector<ModelInfo> infos = read_models(once);
  EXPECT_EQ(describe_what_saves_nothing(make_run_spec(infos, once), infos)[0],
            concat("cache=3:center=0 of ", infos[1].name, " saves nothing: its one evaluation is whole"));
}

TEST_F(Twins, AnImageDoesNotDependOnItsCompany) {
  for (const char* dtype : {"f32", "bf16", "int8"}) {
    SampleOptions many =
        asked("ddpm", 0.5, {"large", "large"}, {"merge=0.5,cache=2:helper:center=3", "cache=3"});
    many.given = {};
    many.prompts = {"a", kPrompt, "a red bicycle"};
    many.batch_size = 2;
    const auto host = make_backend({.dtype = dtype, .threads = 2}),
               alone = make_backend({.dtype = dtype, .threads = 1});
    const Tensor together = sampled(*host, many);
    if (std::string(dtype) != "int8") {
      const auto device = std::unique_ptr<Backend>(fake_device({.dtype = dtype, .threads = 2}));
      EXPECT_EQ(bytes_of(sampled(*device, many)), bytes_of(together));
    }
    const RunSpec spec = make_run_spec(read_models(many), many);
    for (int64_t image = 0; image < 3; ++image) {
      SampleOptions one = many;
      one.prompts = {many.prompts[static_cast<size_t>(image)]};
      one.seed = spec.seed_of(image);
      EXPECT_EQ(bytes_of(sampled(*alone, one)), bytes_of(together.slice(image, image + 1)))
          << dtype << " " << image;
    }
  }
}

// Where images switch by themselves, rows at different evaluations of a stage are in one batch.
TEST_F(Twins, ImagesThatSwitchByThemselvesAreWhatTheyAreAlone) {
  SampleOptions many = asked("ddim", 0, {"large", "large"}, {"cache=3", "cache=2,merge=0.5"});
  many.fractions.clear();
  many.given = {};
  many.adaptive = true;
  many.prompts = {"a", kPrompt, "a red bicycle", "x"};
  for (const double threshold : {0.05, 0.1, 0.2}) {
    many.switch_threshold = threshold;
    const Tensor together = sampled(*backend_, many);
    const RunSpec spec = make_run_spec(read_models(many), many);
    for (int64_t image = 0; image < 4; ++image) {
      SampleOptions one = many;
      one.prompts = {many.prompts[static_cast<size_t>(image)]};
      one.seed = spec.seed_of(image);
      EXPECT_EQ(bytes_of(sampled(*backend_, one)), bytes_of(together.slice(image, image + 1)));
    }
  }
}

TEST_F(Twins, AreShortForStages) {
  const Said said = {{"model", {path("large")}}, {"twin", {"int8,merge=0.5,cache=3:helper:center=1"}}};
  const SampleOptions options = parse_models(said);
  EXPECT_EQ(options.models, (std::vector{path("large"), path("large")}));
  ASSERT_EQ(options.stages.size(), 2u);
  EXPECT_EQ(to_string(options.stages[0]), "dtype=int8,merge=0.5,cache=3:helper:center=1");
  EXPECT_EQ(to_string(options.stages[1]), "");
  const std::vector<ModelInfo> models = read_models(options);
  EXPECT_EQ(models[0].name, models[1].name + " [dtype=int8,merge=0.5,cache=3:helper:center=1]");
  EXPECT_EQ(models[0].form,
            (CheaperForm{.merge = 0.5, .cache = {3, BlockCache::Form::helper, BlockCache::Focus{1}}}));
  EXPECT_EQ(models[1].form, CheaperForm());

  // Said again it is the same run, another form another.
  const Said run = merged(said, {{"prompt", {"a fox"}}, {"ratio", {"0.3"}}, {"steps", {"10"}}});
  check_exclusive(run);
  const SampleOptions all = parse_options(run, models);
  const RunSpec spec = make_run_spec(models, all);
  EXPECT_EQ(spec.trajectory.steps_of(0), 3);
  const Said again = said_of(to_json(all, false), "here");
  EXPECT_FALSE(again.contains("twin"));
  EXPECT_EQ(parse_options(again, read_models(parse_models(again))).stages, all.stages);
  const Field& field = field_named("stage");
  const nlohmann::json identity = field.identity(field, spec);
  SampleOptions other = all;
  other.models = options.models;
  other.stages[0].form.cache.focus->power = 1.5;
  EXPECT_NE(field.identity(field, make_run_spec(read_models(other), other)), identity);
  const std::string parameters = png_text(spec, models, 0).at(0).second;
  EXPECT_NE(parameters.find("merge=0.5"), std::string::npos) << parameters;
}

TEST_F(Twins, WhatDoesNotFitIsRefused) {
  const auto refused = [](const std::string& part, const Said& said) {
    testing::expect_error(ErrorKind::usage, part, [&] {
      check_exclusive(said);
      const std::vector<ModelInfo> models = read_models(parse_models(said));
      make_run_spec(models, parse_options(said, models));
    });
  };
  refused("--twin is a cheaper form of one model, and there are 2: expected one --model",
          {{"model", {path("small"), path("large")}}, {"twin", {"int8"}}});
  refused("--twin is a cheaper form of one model, and there are 2", {{"twin", {"int8"}}});
  refused("--twin is \"cfg=3\", expected int8, merge=RATIO, cache=N or skip=BLOCKS",
          {{"model", {path("large")}}, {"twin", {"cfg=3"}}});
  refused("--twin: cache= is 1, expected", {{"model", {path("large")}}, {"twin", {"cache=1"}}});
  for (const char* twin : {"int8", "int8,cache=3"})
    refused("--twin: dtype=int8 is what --dtype makes of the whole run",
            {{"model", {path("large")}}, {"twin", {twin}}, {"dtype", {"int8"}}});
  refused("--stage 2: dtype=bf16 is what --dtype makes of the whole run",
          {{"model", {path("large"), path("large")}}, {"stage", {"", "dtype=bf16"}}, {"dtype", {"bf16"}}});
  refused("--twin: dtype=int8 is another than the run's bf16, and on the device cuda",
          {{"model", {path("large")}}, {"twin", {"int8"}}, {"device", {"cuda"}}});
  refused("--twin and --stage exclude each other",
          {{"model", {path("large")}}, {"twin", {"int8"}}, {"stage", {"share=0.4", ""}}});
  refused("--twin: merge=0.5 does not go with fashion-l",
          {{"model", {"fashion-l"}}, {"twin", {"merge=0.5"}}, {"class", {"1"}}});
  refused("--stage 2: cache=3 does not go with fashion-l",
          {{"model", {"fashion-l", "fashion-l"}}, {"stage", {"", "cache=3"}}, {"class", {"1"}}});
  refused("block 0 is the only one of its transformer", {{"model", {path("large")}}, {"twin", {"skip=0+3"}}});
  refused(
      "--twin: cache=3:center=2 lays evaluations around one of the stage's, and with --switch auto",
      {{"model", {path("large")}}, {"twin", {"cache=3:center=2"}}, {"switch", {"auto"}}, {"prompt", {"a"}}});
  const Said around = {{"model", {path("large"), path("large")}}, {"prompt", {"a"}}, {"steps", {"10"}}};
  const auto beyond = [&](const std::string& stage) {
    return merged(around, {{"sampler", {"ddim"}}, {"stage", {stage, ""}}});
  };
  refused("--stage 1: cache=3:center=4: center= is evaluation 4 of the stage, counted from 0, and it has 4",
          beyond("until=4,cache=3:center=4"));
  refused(
      "--stage 1: cache=2:center=500: center= is evaluation 500 of the stage, counted from 0, and it has 4",
      beyond("until=4,cache=2:center=500"));
  refused("--stage 1: skip=8 does not go with fashion-l",
          {{"model", {"fashion-l", "fashion-l"}}, {"stage", {"skip=8", ""}}, {"class", {"1"}}});
  write_tiny_control_net(folder() / "sd", "sd");
  SampleOptions steered = asked("ddim", 0.4, {"large", "large"}, {"cache=2", "control=none"});
  steered.controls = {{.path = (folder() / "sd").string()}};
  steered.hints = {std::make_shared<const Image>(tiny_hint())};
  testing::expect_error(ErrorKind::usage, "--stage 1: cache=2 does not go with a ControlNet",
                        [&] { make_run_spec(read_models(steered), steered); });
  steered.stages = {parse_stage("cache=2,control=none"), parse_stage("")};
  make_run_spec(read_models(steered), steered);
}

}  // namespace
}  // namespace tstitch
