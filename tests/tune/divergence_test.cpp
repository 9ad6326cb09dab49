#include "tstitch/tune/divergence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "analyses.h"
#include "tests/engine/tiny_unets.h"
#include "tests/io/io_support.h"
#include "tests/support/expect_error.h"
#include "tests/support/fake_device.h"
#include "tstitch/condition/text_conditions.h"
#include "tstitch/engine/stage_denoiser.h"
#include "tstitch/ops/ops.h"
#include "tstitch/tune/measured_divergence.h"
#include "tstitch/tune/similarity.h"

namespace tstitch {
namespace {

TEST(StepWeight, AgreesWithNumPy) {
  for (const nlohmann::json& golden : golden_analyses("weights")) {
    const double s = golden.at("sigma_data");
    const std::vector<std::pair<double, double>> levels = golden.at("levels");  // alpha, sigma
    const std::vector<double> weights = golden.at("weights");
    ASSERT_EQ(weights.size() + 1, levels.size());
    for (size_t i = 0; i < weights.size(); ++i) {
      const Step step{.index = 0,
                      .level = {.t = 0, .alpha = levels[i].first, .sigma = levels[i].second},
                      .next = {.t = 0, .alpha = levels[i + 1].first, .sigma = levels[i + 1].second},
                      .denoiser = 0};
      EXPECT_NEAR(step_weight(step, s), weights[i], 1e-12 * std::max(1.0, weights[i])) << s << " " << i;
    }
  }
}

// Gaussian data of deviation s. A model whose eps is off by c, and its x0 where there is noise alone, moves
// the end by s times the sum of w c, when the steps push the same way and are small.
void expect_exact(const std::vector<NoiseLevel>& levels, double s) {
  const Trajectory trajectory(levels, std::vector<int>(levels.size() - 1, 0));
  const double c = 0.01;
  double x = 1.3, y = x, sum = 0;  // by the ideal model, and by the one that is off
  for (const Step& step : trajectory) {
    const auto [t, alpha, sigma] = step.level;
    const auto moved = [&, a = alpha, n = sigma](double from, double off) {
      const double eps = n * from / (a * a * s * s + n * n) + (a > 0 ? off : 0);
      const double x0 = a > 0 ? (from - n * eps) / a : -off;  // the signs differ: so they add up
      return step.next.alpha * x0 + step.next.sigma * eps;
    };
    x = moved(x, 0);
    y = moved(y, c);
    sum += step_weight(step, s) * c;
  }
  EXPECT_NEAR(s * sum, std::abs(x - y), 0.03 * s * sum) << s;
}

TEST(StepWeight, IsExactForGaussianData) {
  std::vector<NoiseLevel> levels, flow = {{.t = 1, .alpha = 0, .sigma = 1}};
  constexpr int kSteps = 1000;
  for (int i = 0; i <= kSteps; ++i) {
    const double left = 1 - static_cast<double>(i) / kSteps, angle = 1.5 * left;
    levels.push_back({.t = left, .alpha = std::cos(angle), .sigma = std::sin(angle)});
    const double ratio =
        i == kSteps ? 0 : std::pow(10, 6 * left - 3);  // small steps where there is hardly a picture, too
    flow.push_back({.t = left, .alpha = 1 / (1 + ratio), .sigma = ratio / (1 + ratio)});
  }
  for (const double s : {0.5, 1.0, 2.0}) {
    expect_exact(levels, s);
    expect_exact(flow, s);
  }
}

TEST(StepWeight, OfStepsThatLeadNowhereIsNothing) {
  const NoiseLevel some = {.t = 1, .alpha = 0.8, .sigma = 0.6}, noise = {.t = 9, .alpha = 0, .sigma = 1};
  EXPECT_EQ(step_weight({.index = 0, .level = some, .next = some, .denoiser = 0}, 1), 0);
  EXPECT_EQ(step_weight({.index = 0, .level = noise, .next = noise, .denoiser = 0}, 1), 0);
}

// What the last model was asked, and what it answered.
struct Asked final : RunObserver {
  void evaluated(IndexRange range, const Step& step, const NoiseLevel& level, const Tensor& x,
                 const Prediction& prediction) override {
    all.push_back({range, step, level, x, prediction.eps});
  }
  struct One {
    IndexRange images;
    Step step;
    NoiseLevel level;
    Tensor x, eps;
  };
  std::vector<One> all;
};

Tensor on_host(Backend& backend, const Tensor& x) { return backend.download(to_channels_first(backend, x)); }

TEST(Divergence, IsThatOfWhatTheModelsPredict) {
  const Small small({"one", "two"});
  const RunSpec alone = served_by(*small.spec, 1);
  Asked asked;
  run(*small.backend, small.models, alone, asked, small.inputs);
  RunObserver silent;
  const Divergence found =
      measure_divergence(*small.backend, small.models, *small.spec, silent, small.inputs, 0.5);
  EXPECT_EQ(found.evaluations, std::vector<int>(6, 1));
  ASSERT_EQ(found.forms.size(), 2u);
  EXPECT_TRUE(found.forms[1].at.empty());
  ASSERT_EQ(found.forms[0].at.size(), 6u);
  ASSERT_EQ(asked.all.size(), 18u);  // three batches
  for (size_t n = 0; n < 6; ++n) {
    Similarity expected;
    for (const Asked::One& one : asked.all) {
      if (one.step.index != static_cast<int>(n)) continue;
      ConditionBinder binder(alone.height, alone.width);
      DirectEvaluator evaluator;
      const double scale = cfg_scale_of(alone, 0);
      const StageRows rows =
          bind_rows(binder, small.models[0], alone, scale, *small.inputs.conditions[0], one.images);
      const auto denoiser = make_denoiser(*small.backend, evaluator, small.models[0], alone, scale, rows);
      expected.add(on_host(*small.backend, denoiser->predict(one.x, one.level).eps),
                   on_host(*small.backend, one.eps));
    }
    ASSERT_EQ(found.forms[0].at[n].size(), 1u);
    const Distance& distance = found.forms[0].at[n][0];
    EXPECT_DOUBLE_EQ(distance.rms, std::sqrt(expected.mse()));
    EXPECT_DOUBLE_EQ(distance.relative, std::sqrt(expected.relative_mse()));
    EXPECT_DOUBLE_EQ(distance.cosine, expected.cosine().mean);
  }
  double sum = 0;
  for (const Step& step : alone.trajectory)
    sum += step_weight(step, 0.5) * found.forms[0].at[static_cast<size_t>(step.index)][0].rms;
  EXPECT_NEAR(whole_divergence(found, 0), sum, 1e-12);
  EXPECT_EQ(whole_divergence(found, 1), 0);
}

TEST(Divergence, OfAModelFromItselfIsNothing) {
  for (const char* sampler : {"ddim", "heun"}) {
    Small small({"one", "one"});
    small.spec->options.sampler = sampler;
    RunObserver silent;
    const Divergence found =
        measure_divergence(*small.backend, small.models, *small.spec, silent, small.inputs);
    EXPECT_EQ(found.forms[0].at.size(), found.all_evaluations());
    for (const auto& ages : found.forms[0].at) EXPECT_EQ(ages[0].rms, 0);
  }
}

TEST(Divergence, OnADeviceIsThatOfTheHostAndMayBeCancelled) {
  const Small host({"one", "two"}), device({"one", "two"}, fake_device({.dtype = "f32", .threads = 2}));
  RunObserver silent;
  const Divergence found = measure_divergence(*device.backend, device.models, *device.spec, silent,
                                              device.inputs),
                   expected = measure_divergence(*host.backend, host.models, *host.spec, silent, host.inputs);
  for (size_t n = 0; n < 6; ++n) EXPECT_EQ(found.forms[0].at[n][0].rms, expected.forms[0].at[n][0].rms);
  Impatient impatient;
  EXPECT_TRUE(
      measure_divergence(*host.backend, host.models, *host.spec, impatient, host.inputs).forms.empty());
}

// By hand: one step of the other model, all else the last one's.
TEST(MeasuredWeights, AreWhatASingleStepComesTo) {
  const Small small({"one", "two"});
  RunObserver silent;
  Divergence measured =
      measure_divergence(*small.backend, small.models, *small.spec, silent, small.inputs, 2);
  const Divergence estimated = measured;
  EXPECT_TRUE(measure_weights(*small.backend, small.models, *small.spec, silent, small.inputs, 2, measured));
  const RunSpec alone = served_by(*small.spec, 1);
  std::vector<NoiseLevel> levels;
  for (const Step& step : alone.trajectory) levels.push_back(step.level);
  levels.push_back(alone.trajectory[5].next);
  const Tensor expected = run(*small.backend, small.models, alone, silent, small.inputs).latents;
  for (int k = 0; k < 6; ++k) {
    std::vector<int> assignment(6, 1);
    assignment[static_cast<size_t>(k)] = 0;
    RunSpec one = alone;
    one.trajectory = Trajectory(levels, assignment);
    Similarity change;
    change.add(run(*small.backend, small.models, one, silent, small.inputs).latents, expected);
    EXPECT_NEAR(2 * step_divergence(measured, 0, k, 0), std::sqrt(change.mse()), 1e-9) << k;
    EXPECT_EQ(measured.forms[0].at[static_cast<size_t>(k)][0].rms,
              estimated.forms[0].at[static_cast<size_t>(k)][0].rms);
  }
  Impatient impatient;
  EXPECT_FALSE(
      measure_weights(*small.backend, small.models, *small.spec, impatient, small.inputs, 2, measured));
  const Small same({"one", "one"});
  Divergence nothing = measure_divergence(*same.backend, same.models, *same.spec, silent, same.inputs);
  testing::expect_error(ErrorKind::usage, "nothing to measure the weights", [&] {
    measure_weights(*same.backend, same.models, *same.spec, silent, same.inputs, 1, nothing);
  });
}

// A tiny U-Net twice: the first in a form of its own.
class OfTwins : public FolderTest {
 protected:
  void prepare(const std::string& sampler, const std::string& first) {
    ModelInfo info = unet_info("large", "sd1", {.kind = ConditionKind::text}, 77);
    infos_ = {info, info};
    SampleOptions options{.sampler = sampler, .steps = "5", .cfg_scale = 3, .prompts = {"a"}};
    options.batch_count = 2;
    options.stages = {parse_stage(first), {}};
    infos_[0].form = options.stages[0].form;
    models_.clear();
    inputs_ = {};
    std::vector<Condition> texts;
    for (const int64_t tokens : {3, 5})
      texts.push_back({.context = random_uniform("context", {tokens, info.condition.width}, 1,
                                                 static_cast<uint64_t>(tokens))});
    for (const ModelInfo& one : infos_) {
      models_.push_back(random_model(one, 3, *backend_));
      inputs_.conditions.push_back(std::make_shared<TextConditions>(texts, 1));
    }
    spec_ = std::make_unique<RunSpec>(served_by(make_run_spec(infos_, options), 1));
  }
  Divergence measured() {
    RunObserver silent;
    return measure_divergence(*backend_, models_, *spec_, silent, inputs_, 1);
  }
  // As if measured on this machine: whole evaluations take 3 s, others 1 s, with a half more for guidance.
  MeasuredDivergence with_times() {
    MeasuredDivergence m = nothing_measured(*spec_, infos_, {"a", "b"}, *backend_, 1);
    m.divergence = measured();
    for (const Asking& asking : askings_of(*spec_, m.divergence))
      m.times[asking] = {(asking.whole ? 3 : 1) * (asking.cfg_scale == 1 ? 1 : 1.5), 0.125};
    m.decoding = 0.25;
    return m;
  }

  std::unique_ptr<Backend> backend_ = make_backend({.dtype = "f32", .threads = 2});
  std::vector<ModelInfo> infos_;
  std::vector<Model> models_;
  EncodedInputs inputs_;
  std::unique_ptr<RunSpec> spec_;
};

// At every evaluation and every age as if the stage had begun so many evaluations before.
TEST_F(OfTwins, CachedBlocksAreMeasuredByAge) {
  for (const char* sampler : {"ddim", "heun"})
    for (const char* form : {"cache=3", "cache=2:helper"}) {
      SCOPED_TRACE(concat(sampler, " ", form));
      prepare(sampler, form);
      Asked asked;
      run(*backend_, models_, *spec_, asked, inputs_);
      const Divergence found = measured();
      const auto every = static_cast<size_t>(infos_[0].form.cache.every);
      EXPECT_EQ(found.forms[0].ages, infos_[0].form.cache.every);
      ASSERT_EQ(found.forms[0].at.size(), asked.all.size());
      EXPECT_EQ(found.all_evaluations(), asked.all.size());
      const double scale = cfg_scale_of(*spec_, 0);
      for (size_t n = 0; n < asked.all.size(); ++n) {
        ASSERT_EQ(found.forms[0].at[n].size(), std::min(n + 1, every));
        EXPECT_EQ(found.forms[0].at[n][0].rms, 0);
        for (size_t age = 1; age < found.forms[0].at[n].size(); ++age) {
          ConditionBinder binder(spec_->height, spec_->width);
          DirectEvaluator evaluator;
          const StageRows rows = bind_rows(binder, models_[0], *spec_, scale, *inputs_.conditions[0], {0, 2});
          const auto denoiser = make_denoiser(*backend_, evaluator, models_[0], *spec_, scale, rows);
          const Asked::One &begun = asked.all[n - age], &now = asked.all[n];
          denoiser->predict(begun.x, begun.level);
          for (size_t i = 0; i < age; ++i) rows.count();
          rows.set_whole([](int64_t) { return false; });
          Similarity expected;
          expected.add(on_host(*backend_, denoiser->predict(now.x, now.level).eps),
                       on_host(*backend_, now.eps));
          EXPECT_NEAR(found.forms[0].at[n][age].rms, std::sqrt(expected.mse()), 1e-9);
          EXPECT_GT(found.forms[0].at[n][age].rms, 0);
        }
      }
    }
}

// Guided in the steps in which it would be: elsewhere it differs from the guided one.
TEST_F(OfTwins, AFormIsGuidedAsItWouldBe) {
  prepare("ddim", "cfg-interval=0:0.5");
  const MeasuredDivergence m = with_times();
  for (size_t n = 0; n < 5; ++n) EXPECT_EQ(m.divergence.forms[0].at[n][0].rms > 0, n >= 3) << n;
  const StepCosts costs = step_costs(*spec_, m.divergence, m.times);
  for (size_t s = 0; s < 5; ++s) {
    EXPECT_DOUBLE_EQ(costs.forms[0].seconds[s][0], s < 3 ? 4.5 : 3);
    EXPECT_DOUBLE_EQ(costs.forms[1].seconds[s][0], 4.5);
  }
}

TEST_F(OfTwins, WhatAStepCostsDependsOnAge) {
  prepare("heun", "cache=3,cfg=1");
  const MeasuredDivergence m = with_times();
  EXPECT_EQ(m.divergence.evaluations, (std::vector<int>{2, 2, 2, 2, 1}));
  const StepCosts costs = step_costs(*spec_, m.divergence, m.times);
  const auto& seconds = costs.forms[0].seconds;
  EXPECT_EQ(seconds[0], (std::vector<double>{4}));        // whole and not
  EXPECT_EQ(seconds[1], (std::vector<double>{4, 2, 4}));  // at age 2 its second one is whole
  EXPECT_EQ(seconds[4], (std::vector<double>{3, 1, 1}));
  for (size_t age = 0; age < 3; ++age) {
    const auto& at = m.divergence.forms[0].at;
    EXPECT_NEAR(costs.forms[0].loss[1][age],
                step_weight(spec_->trajectory[1], 1) * (at[2][age].rms + at[3][(age + 1) % 3].rms) / 2,
                1e-12);
  }
  EXPECT_EQ(costs.forms[1].loss[1], std::vector<double>{0});
  testing::expect_error(ErrorKind::usage, "nothing was timed of form 1",
                        [&] { step_costs(*spec_, m.divergence, {}); });
}

TEST_F(OfTwins, NothingIsComparedWithCachedBlocks) {
  prepare("ddim", "");
  models_[1].info.form.cache.every = 2;
  testing::expect_error(ErrorKind::usage, "expected a last --stage without", [&] { measured(); });
}

TEST_F(OfTwins, AMeasuredDivergenceIsReadBack) {
  prepare("heun", "cache=3");
  const MeasuredDivergence m = with_times();
  nlohmann::ordered_json json;
  json["divergence"] = to_json(m);
  const std::string file = write("d.json", json.dump());
  const MeasuredDivergence read = read_measured_divergence(file);
  EXPECT_EQ(to_json(read), to_json(m));
  const MeasuredDivergence expected = nothing_measured(*spec_, infos_, {"a", "b"}, *backend_, 1);
  EXPECT_NO_THROW(check_measured(read, expected, file));

  const std::pair<const char*, std::function<void(MeasuredDivergence&)>> others[] = {
      {"measured of other models: large, other",
       [](MeasuredDivergence& o) {
         o.models = {"large", "other"};
       }},
      {"another file than that of large", [](MeasuredDivergence& o) { o.contents[1] = "c"; }},
      {"--sampler euler", [](MeasuredDivergence& o) { o.sampler = "euler"; }},
      {"along other steps", [](MeasuredDivergence& o) { o.levels = "0123"; }},
      {"--eta 0.5", [](MeasuredDivergence& o) { o.eta = 0.5; }},
      {"--cfg-scale 4, but this run has 3", [](MeasuredDivergence& o) { o.cfg_scale = 4; }},
      {"--dtype half", [](MeasuredDivergence& o) { o.dtype = "half"; }},
      {"measured of stage 1 with ...dtype=bf16, but this run has ...negative=",
       [](MeasuredDivergence& o) { o.stages[0] = "prediction eps,cfg=3,dtype=bf16"; }},
      {"--cfg-channels 3, but this run has 4",
       [](MeasuredDivergence& o) { o.settings["cfg_channels"] = "3"; }},
      {"--clip-skip 2, but this run has ", [](MeasuredDivergence& o) { o.settings["clip_skip"] = "2"; }},
      {"--uncond 7, but this run has its default", [](MeasuredDivergence& o) { o.settings["uncond"] = "7"; }},
      {"latents of 9 x 8", [](MeasuredDivergence& o) { o.height = 9; }}};
  for (const auto& [part, change] : others) {
    MeasuredDivergence other = read;
    change(other);
    testing::expect_error(ErrorKind::usage, part, [&] { check_measured(other, expected, file); });
  }
}

TEST_F(OfTwins, BrokenFilesAreRefused) {
  prepare("ddim", "cache=3");
  const nlohmann::json good = {{"divergence", nlohmann::json::parse(to_json(with_times()).dump())}};
  struct Case {
    const char* at;
    nlohmann::json value;
    const char* part;
  };
  for (const auto& [at, value, part] : std::vector<Case>{
           {"/divergence/format", "tstitch-divergence-9", "expected \"divergence\" of the \"format\""},
           {"/divergence", 7, "not a divergence"},
           {"/divergence/models", nlohmann::json::array({"a"}), "1 models with the contents of 2"},
           {"/divergence/models", "a", "not a divergence"},
           {"/divergence/stages", nlohmann::json::array({"a"}), "1 stages of 2 models"},
           {"/divergence/stages", 1, "not a divergence"},
           {"/divergence/settings", {{"clip_skip", 1}}, "not a divergence"},
           {"/divergence/autoencoder", 1, "not a divergence"},
           {"/divergence/sigma_data", 0, "\"sigma_data\" is 0"},
           {"/divergence/decoding_seconds", -1, "\"decoding_seconds\" is -1"},
           {"/divergence/evaluations", {1, 1, 0, 1, 1}, "\"evaluations\" holds 0"},
           {"/divergence/evaluations", {1, 1}, "\"weights\" is of 5 steps, expected 2"},
           {"/divergence/evaluations", nlohmann::json::array(), "names no step"},
           {"/divergence/evaluations", {1, 1000000000}, "\"evaluations\" holds"},
           {"/divergence/weights", nlohmann::json::array(), "\"weights\" is of 0 steps, expected 5"},
           {"/divergence/weights/2", -1, "\"weights\" holds -1"},
           {"/divergence/forms", nlohmann::json::array(), "0 forms of 2 models"},
           {"/divergence/forms/0/ages", 0, "form 1: a form of 0 ages"},
           {"/divergence/forms/0/ages", 2, "of evaluation 3 is of 3 ages, expected 2"},
           {"/divergence/forms/0/distance/1/0", -0.5, "\"distance\" of evaluation 2 is -0.5"},
           {"/divergence/forms/0/distance/1/0", "much", "not a divergence"},
           {"/divergence/forms/0/cosine/1/0", 1.5, "\"cosine\" of evaluation 2 is 1.5"},
           {"/divergence/forms/0/relative", nlohmann::json::array(), "of 0 evaluations, expected 5"},
           {"/divergence/times/0/form", 2, "a time is of form 2"},
           {"/divergence/times/0/seconds", 0, "takes 0"},
           {"/divergence/times/0/whole", "yes", "not a divergence"}}) {
    nlohmann::json broken = good;
    broken[nlohmann::json::json_pointer(at)] = value;
    testing::expect_error(ErrorKind::input, part,
                          [&] { read_measured_divergence(write("broken.json", broken.dump())); });
  }
  for (const char* text : {"", "[]", "{", "{\"divergence\": {}}", "null"})
    testing::expect_error(ErrorKind::input, "broken.json",
                          [&] { read_measured_divergence(write("broken.json", text)); });
}

}  // namespace
}  // namespace tstitch
