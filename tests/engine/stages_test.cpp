// Stages: shares and one guidance for all are their short form, bit for bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/support/expect_error.h"
#include "tstitch/engine/engine.h"
#include "tstitch/engine/fields.h"

namespace tstitch {
namespace {

const Said kBase = {
    {"steps", {"10"}}, {"class", {"1,5,9"}}, {"batch_size", {"2"}}, {"dtype", {"f32"}}, {"threads", {"1"}}};

std::vector<std::vector<uint8_t>> pictures_of(const Said& said) {
  const Said all = merged(kBase, said);
  const std::vector<ModelInfo> models = read_models(parse_models(all));
  const RunSpec spec = make_run_spec(models, parse_options(all, models));
  Engine engine(models, spec.options.backend);
  engine.load(spec);
  std::vector<std::vector<uint8_t>> pixels;
  for (const Image& picture : engine.sample(spec)) pixels.push_back(picture.pixels);
  return pixels;
}

void expect_refused(const std::string& part, const Said& said) {
  testing::expect_error(ErrorKind::usage, part, [&] {
    const std::vector<ModelInfo> models = read_models(parse_models(said));
    make_run_spec(models, parse_options(said, models));
  });
}

TEST(Stages, SharesAreTheirShortForm) {
  const auto short_form = pictures_of({{"ratio", {"0.4"}}, {"cfg_scale", {"3"}}});
  EXPECT_EQ(pictures_of({{"stage", {"share=0.4", "cfg=3"}}, {"cfg_scale", {"3"}}}), short_form);
  EXPECT_EQ(pictures_of({{"stage", {"model=fashion-s,share=40%,cfg=3", "model=fashion-l,cfg=3"}}}),
            short_form);
  EXPECT_EQ(pictures_of({{"stage", {"until=4", ""}}, {"cfg_scale", {"3"}}}), short_form);
  EXPECT_NE(pictures_of({{"stage", {"share=0.4,cfg=1", "cfg=3"}}}), short_form);
}

// What a stage does in some steps, stages of the same model do one after the other.
TEST(Stages, AnIntervalIsStagesOfOneModel) {
  for (const char* sampler : {"ddim", "dpm++2m", "heun", "ddpm"})
    EXPECT_EQ(
        pictures_of(
            {{"model", {"fashion-s"}}, {"stage", {"cfg=4,cfg-interval=0.3:0.7"}}, {"sampler", {sampler}}}),
        pictures_of({{"model", {"fashion-s", "fashion-s", "fashion-s"}},
                     {"stage", {"until=3,cfg=1", "until=7,cfg=4", "cfg=1"}},
                     {"sampler", {sampler}}}))
        << sampler;
}

TEST(Stages, AnyModelInAnyOrderTheSameOneTwice) {
  EXPECT_EQ(pictures_of({{"stage",
                          {"model=fashion-l,until=2", "model=fashion-s,until=6", "model=fashion-l,until=6",
                           "model=fashion-l"}}}),
            pictures_of({{"model", {"fashion-l", "fashion-s", "fashion-l"}}, {"switch_step", {"2,6"}}}));
}

TEST(Stages, IntervalsCountTheStepsOfTheWholeTrajectory) {
  const std::vector<ModelInfo> models = read_models(parse_models({{"model", {"fashion-s"}}}));
  SampleOptions options = parse_options({{"steps", {"10"}}, {"class", {"1"}}, {"strength", {"0.4"}}}, models);
  options.init_image = Tensor({1, 28, 28}, DType::f32);
  options.stages = {parse_stage("cfg=4,cfg-interval=0.7:0.9")};
  const RunSpec spec = make_run_spec(models, options);
  ASSERT_EQ(spec.trajectory.size(), 4);  // steps 6 ... 9 of ten
  std::vector<double> scales;
  for (const Step& step : spec.trajectory) scales.push_back(spec.cfg_scale_at(step));
  EXPECT_EQ(scales, (std::vector<double>{1, 4, 4, 1}));
}

// PNDM's second level comes twice, and it is another one where an initial picture has the first steps behind
// it.
TEST(Stages, IntervalsCountPndmsStepsAsDiffusersDoes) {
  // PNDMScheduler.set_timesteps(10), skip_prk_steps, steps_offset 1
  const std::vector<double> timesteps = {901, 801, 801, 701, 601, 501, 401, 301, 201, 101, 1};
  const std::vector<ModelInfo> models = read_models(parse_models({{"model", {"fashion-s"}}}));
  for (const char* strength : {"0.6", "0.9", "1", "0.1"})
    for (const auto& [low, high] : {std::pair{0.0, 0.5}, {0.5, 0.6}, {0.45, 0.55}, {0.1, 0.2}, {0.2, 1.0}}) {
      SampleOptions options = parse_options(
          {{"steps", {"10"}}, {"sampler", {"pndm"}}, {"class", {"1"}}, {"strength", {strength}}}, models);
      options.init_image = Tensor({1, 28, 28}, DType::f32);
      options.stages = {parse_stage(concat("cfg=4,cfg-interval=", low, ":", high))};
      const RunSpec spec = make_run_spec(models, options);
      const bool whole = spec.trajectory.size() == std::ssize(timesteps);
      for (const Step& step : spec.trajectory) {
        const auto last = std::ranges::find(timesteps.rbegin(), timesteps.rend(), step.level.t);
        const auto number = whole ? step.index : static_cast<int>(timesteps.rend() - last) - 1;
        const bool guided = low <= number / 11.0 && number / 11.0 < high;
        EXPECT_EQ(spec.cfg_scale_at(step), guided ? 4 : 1) << strength << ", " << low << ", " << step.index;
      }
    }
}

double distance(const std::vector<std::vector<uint8_t>>& a, const std::vector<std::vector<uint8_t>>& b) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i)
    for (size_t j = 0; j < a[i].size(); ++j) {
      difference += (a[i][j] - b[i][j]) * (a[i][j] - b[i][j]);
      norm += b[i][j] * b[i][j];
    }
  return std::sqrt(difference / norm);
}

// The cheapest form of a model: 8 bits. One of a run's stages may be it, or all.
TEST(Stages, MayDifferInType) {
  const Said twins = {{"model", {"fashion-l", "fashion-l"}}};
  const auto pictures = [&](const char* first, const char* second, const char* dtype = "f32") {
    return pictures_of(merged(twins, {{"stage", {first, second}}, {"dtype", {dtype}}}));
  };
  const auto exact = pictures("share=0.4", ""), int8 = pictures("share=0.4", "", "int8");
  EXPECT_EQ(pictures("share=0.4,dtype=int8", "dtype=int8"), int8);
  EXPECT_EQ(pictures("share=0.4,dtype=f32", "dtype=f32", "bf16"), exact);
  const auto twin = pictures("share=0.4,dtype=int8", "");
  EXPECT_NE(twin, exact);
  EXPECT_NE(twin, int8);
  EXPECT_LE(distance(twin, exact), 0.02);
  EXPECT_LE(distance(int8, exact), 0.03);
  EXPECT_LE(distance(pictures("share=0.4,dtype=bf16", "dtype=int8"), exact), 0.03);
  for (const char* run : {"f32", "bf16"})  // one of them is what "auto" means here
    EXPECT_EQ(pictures(concat("share=0.4,dtype=", run).c_str(), concat("dtype=", run).c_str(), "int8"),
              pictures("share=0.4", "", run));
}

// A DiT behind itself without some of its blocks, and in 8 bits: the weights are the same ones.
TEST(Stages, MayLeaveOutBlocks) {
  const Said twin = {{"model", {"fashion-l"}}, {"ratio", {"0.4"}}};
  const auto pictures = [&](const char* forms) { return pictures_of(merged(twin, {{"twin", {forms}}})); };
  const auto whole = pictures_of({{"model", {"fashion-l"}}}), skipped = pictures("skip=2");
  EXPECT_NE(skipped, whole);
  EXPECT_LT(distance(skipped, whole), 1);
  EXPECT_NE(pictures("int8,skip=2"), skipped);
  EXPECT_EQ(pictures("skip=2-3"),
            pictures_of({{"model", {"fashion-l", "fashion-l"}}, {"stage", {"share=0.4,skip=3+2", ""}}}));
  const auto models = read_models(
      parse_models({{"model", {"fashion-l", "fashion-l"}}, {"stage", {"skip=2,dtype=int8", "dtype=int8"}}}));
  EXPECT_TRUE(same_network(models[0], models[1]));
}

// What --dtype says is not said again; what "auto" becomes is.
TEST(Stages, OfTheRunsOwnTypeSayNothing) {
  const Said said = {
      {"model", {"fashion-l", "fashion-l"}}, {"class", {"1"}}, {"stage", {"dtype=f32", "dtype=bf16"}}};
  const auto models = read_models(parse_models(said));
  const RunSpec spec = make_run_spec(models, parse_options(said, models));
  const std::string run = spec.options.backend.dtype;
  for (size_t i = 0; i < 2; ++i) {
    const std::string own = i == 0 ? "f32" : "bf16";
    EXPECT_EQ(spec.options.stages[i].dtype.value_or(run), own);
    EXPECT_EQ(spec.options.stages[i].dtype.has_value(), own != run);
  }
  // So a picture is made again of what it says.
  const Said again = said_of(to_json(spec.options, false), "here");
  const auto models_again = read_models(parse_models(again));
  EXPECT_EQ(make_run_spec(models_again, parse_options(again, models_again)).stages, spec.stages);
}

// Where all stages have one type, that is the run's as reports have it, and the device says it.
TEST(Stages, TellTheirTypes) {
  const auto told = [](const char* first, const char* second) {
    const Said said = {{"model", {"fashion-s", "fashion-l"}},
                       {"class", {"1"}},
                       {"dtype", {"f32"}},
                       {"threads", {"1"}},
                       {"stage", {first, second}}};
    const auto models = read_models(parse_models(said));
    const RunSpec spec = make_run_spec(models, parse_options(said, models));
    const std::string device = Engine(models, spec.options.backend).description();
    return concat(decided(spec).at("dtype").get<std::string>(), " on ", device.substr(device.find("thread")));
  };
  const std::string int8 = concat("int8 in ", decided_dtype({.dtype = "auto"}));
  EXPECT_EQ(told("", ""), "f32 on thread, f32");
  EXPECT_EQ(told("dtype=int8", "dtype=int8"), concat("int8 on thread, ", int8));
  EXPECT_EQ(told("dtype=int8", ""), concat("f32 on thread, ", int8, "; f32"));
  EXPECT_EQ(told("", "dtype=bf16"), "f32 on thread, f32; bf16");
}

TEST(Stages, WhatDoesNotFitIsRefused) {
  expect_refused(
      "--stage 1: dtype=int8 is another than the run's bf16, and on the device cuda:1 all stages"
      " have the same",
      {{"stage", {"share=0.4,dtype=int8", ""}}, {"device", {"cuda:1"}}});
  expect_refused("the device cuda does not compute in int8 yet", {{"dtype", {"int8"}}, {"device", {"cuda"}}});
  expect_refused("the demo family has 2 models for 1 stage", {{"stage", {"cfg=1"}}});
  expect_refused("--stage 2 has no model", {{"model", {"fashion-s"}}, {"stage", {"share=0.4", "cfg=2"}}});
  expect_refused("excludes --ratio", {{"stage", {"share=0.4", ""}}, {"ratio", {"0.5"}}});
  expect_refused("excludes --stage", {{"stage", {"share=0.4", ""}}, {"switch", {"auto"}}});
  expect_refused("model= and the --model of that number exclude",
                 {{"model", {"fashion-b", "fashion-l"}}, {"stage", {"model=fashion-s", ""}}});
  expect_refused("cfg= is 0.5, expected more than 1", {{"stage", {"cfg=0.5", ""}}});
  expect_refused("cfg= is -3", {{"stage", {"cfg=-3", ""}}});
  expect_refused("share= and until= are not mixed", {{"model", {"fashion-s", "fashion-b", "fashion-l"}},
                                                     {"stage", {"share=0.4", "until=30", ""}}});
  expect_refused("--stage 2 has no share=", {{"model", {"fashion-s", "fashion-b", "fashion-l"}},
                                             {"stage", {"share=0.4", "", "share=0.2"}}});
  expect_refused("--stage 2 is the last", {{"stage", {"until=10", "until=40"}}});
  expect_refused("more than 1", {{"model", {"fashion-s", "fashion-b", "fashion-l"}},
                                 {"stage", {"share=0.7", "share=0.4", ""}}});
  expect_refused("--stage 1: cfg-interval= has no effect without guidance",
                 {{"stage", {"cfg=1,cfg-interval=0:0.5", ""}}});
  expect_refused("--stage 1: negative= is for models of text", {{"stage", {"negative=x", ""}}});
  expect_refused("--stage 2: cfg= is", {{"stage", {"", "cfg=1e9"}}});
}

}  // namespace
}  // namespace tstitch
