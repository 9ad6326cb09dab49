// Requests of all kinds through the step batcher: every picture bit for bit what it is alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "tests/engine/tiny_unets.h"
#include "tstitch/condition/class_conditions.h"
#include "tstitch/condition/text_conditions.h"
#include "tstitch/diffusion/step_batcher.h"
#include "tstitch/engine/run.h"
#include "tstitch/nn/random_weights.h"
#include "tstitch/zoo/families/dit.h"

namespace tstitch {
namespace {

constexpr int kMixes = 100;

// A pair of models and what they are asked for.
struct Pair {
  std::vector<ModelInfo> infos;
  std::vector<std::shared_ptr<const ConditionMaker>> conditions;
  std::vector<std::string> prompts;  // whose contexts differ in length; none for models of classes
};

Pair dit_pair() {
  const DiTConfig small = {.input_size = 8,
                           .patch_size = 2,
                           .in_channels = 2,
                           .hidden_size = 32,
                           .depth = 2,
                           .num_heads = 2,
                           .num_classes = 6};
  DiTConfig large = small;
  large.hidden_size = 64;
  large.num_heads = 4;
  Pair pair{.infos = {dit_info(small, "small"), dit_info(large, "large")}, .conditions = {}, .prompts = {}};
  for (int i = 0; i < 2; ++i) pair.conditions.push_back(std::make_shared<ClassConditions>(6));
  return pair;
}

// Of four prompts and the negative one, for both models; added: how many numbers they are told more.
void make_conditions(Pair& pair, int64_t added) {
  std::vector<Condition> texts;
  for (const int64_t tokens : {3, 9, 3, 6, 5}) {
    const auto seed = static_cast<uint64_t>(texts.size());
    texts.push_back({.context = random_uniform("context", {tokens, pair.infos[0].condition.width}, 1, seed)});
    if (added > 0) texts.back().added = random_uniform("added", {added}, 1, seed);
  }
  for (int i = 0; i < 2; ++i) pair.conditions.push_back(std::make_shared<TextConditions>(texts, 4));
}

Pair text_pair() {
  Pair pair{.infos = {unet_info("small", "bk_tiny", {.kind = ConditionKind::text}, 77),
                      unet_info("large", "sd1", {.kind = ConditionKind::text}, 77)},
            .conditions = {},
            .prompts = {"a", "b", "c", "d"}};
  make_conditions(pair, 0);
  return pair;
}

// Every prompt has a pooled text and sizes of its own.
Pair sdxl_pair() {
  const ConditionInfo told = {.kind = ConditionKind::text, .pooled_width = 32, .number_width = 8};
  Pair pair{.infos = {unet_info("small", "ssd1b", told, 77), unet_info("large", "sdxl", told, 77)},
            .conditions = {},
            .prompts = {"a", "b", "c", "d"}};
  make_conditions(pair, 32 + 6 * 8);
  return pair;
}

// The small one is told the scale of guidance, the large one led away from a null row.
Pair told_pair() {
  Pair pair = text_pair();
  pair.infos[0] = unet_info("told", "lcm", {.kind = ConditionKind::text, .told_guidance = true}, 77);
  return pair;
}

// No class is random tokens of every picture's own.
Pair token_pair() {
  const ConditionInfo tokens = {.kind = ConditionKind::class_tokens, .num_classes = 6};
  Pair pair{.infos = {unet_info("small", "ldm", tokens, 1), unet_info("large", "ldm", tokens, 1)},
            .conditions = {},
            .prompts = {}};
  const Tensor table = random_uniform("table", {6, pair.infos[0].condition.width}, 1, 3);
  for (int i = 0; i < 2; ++i)
    pair.conditions.push_back(std::make_shared<ClassTokenConditions>(table, Tensor()));
  return pair;
}

// Counts the evaluations that rows at different timesteps share, so rows of different requests.
struct CountingNetwork final : Network {
  CountingNetwork(std::shared_ptr<const Network> n, std::atomic<int>& j) : inner(std::move(n)), joint(j) {}
  std::unique_ptr<const BoundCondition> bind(const Condition& condition, int64_t height,
                                             int64_t width) const override {
    return inner->bind(condition, height, width);
  }
  Tensor evaluate(const Tensor& x, std::span<const Row> rows) const override {
    joint += std::ranges::any_of(rows, [&](const Row& row) { return row.t != rows[0].t; });
    return inner->evaluate(x, rows);
  }
  std::shared_ptr<const Network> inner;
  std::atomic<int>& joint;
};

class Dice {
 public:
  explicit Dice(uint32_t seed) : engine_(seed) {}
  int below(int n) { return static_cast<int>(engine_() % static_cast<uint32_t>(n)); }
  template <class T>
  T one_of(std::initializer_list<T> choices) {
    return choices.begin()[below(static_cast<int>(choices.size()))];
  }

 private:
  std::mt19937 engine_;
};

SampleOptions random_request(Dice& dice, const Pair& pair) {
  SampleOptions options;
  options.sampler =
      dice.one_of<const char*>({"ddim", "ddpm", "pndm", "euler", "euler_a", "heun", "dpm2", "dpm2_a", "lms",
                                "deis", "dpm++2s", "dpm++2m", "dpm++2m_sde", "unipc", "lcm", "tcd"});
  if (options.sampler == "ddim" || options.sampler == "tcd") options.eta = dice.one_of({0.0, 0.5});
  options.steps = std::to_string(2 + dice.below(4));
  options.seed = static_cast<uint64_t>(dice.below(1000));
  options.batch_size = 1 + dice.below(3);
  options.cfg_scale = dice.one_of({1.0, 1.5, 4.0});
  switch (dice.below(4)) {
    case 0:
      options.fractions = dice.one_of<std::vector<double>>({{0, 1}, {0.5, 0.5}, {1, 0}});
      break;
    case 1:
      options.switch_steps = {dice.below(std::stoi(options.steps) + 1)};
      break;
    case 2:
      options.adaptive = true;
      options.switch_threshold = dice.one_of({0.1, 1.0, 5.0});
      break;
    default:
      options.stages = {parse_stage("share=0.5,cfg=3,cfg-interval=0.2:0.7"),
                        parse_stage(dice.one_of<const char*>({"cfg=1", "cfg=2", ""}))};
  }
  for (int i = 0, count = dice.one_of({1, 1, 2, 3}); i < count; ++i)
    if (pair.prompts.empty())
      options.classes.push_back(dice.below(6));
    else
      options.prompts.push_back(pair.prompts[static_cast<size_t>(dice.below(4))]);
  if (pair.infos[0].any_size && dice.below(3) == 0) options.width = 16 * pair.infos[0].pixels_per_latent;
  if (dice.below(3) == 0) {
    const int64_t side = 8 * pair.infos[0].pixels_per_latent;
    options.init_image = Tensor({3, side, side}, DType::f32);
    std::fill_n(options.init_image.data<float>(), options.init_image.elements(), 0.0f);
    options.width.reset();
    options.strength = dice.one_of({0.6, 0.8, 1.0});
    if (dice.below(2) == 0) {
      options.mask = random_uniform("mask", {side, side}, 0.5, 7);
      for (int64_t i = 0; i < options.mask.elements(); ++i) options.mask.data<float>()[i] += 0.5f;
      options.blend = dice.one_of({Blend::step, Blend::x0});
    }
  }
  return options;
}

// The models with the forms in which each is asked, where it has any.
std::vector<ModelInfo> in_random_forms(Dice& dice, std::vector<ModelInfo> infos, bool adaptive) {
  for (ModelInfo& info : infos) {
    const auto form =
        dice.one_of<CheaperForm>({{},
                                  {.merge = 0.5},
                                  {.cache = {.every = 2}},
                                  {.merge = 0.75, .cache = {.every = 3, .form = BlockCache::Form::helper}},
                                  {.cache = {.every = 3, .focus = BlockCache::Focus{.center = 0}}},
                                  {.skip = {1}}});
    if (info.architecture->form_obstacle(form).empty() && !(adaptive && form.cache.focus)) info.form = form;
  }
  return infos;
}

using Models = std::pair<const char*, Pair (*)()>;

class Batching : public testing::TestWithParam<Models> {
 protected:
  void load(const std::string& dtype) {
    backend = make_backend({.dtype = dtype, .threads = 2});
    models.clear();
    for (size_t i = 0; i < 2; ++i) {
      models.push_back(random_model(pair.infos[i], 3 + i, *backend));
      models.back().network = std::make_shared<CountingNetwork>(models.back().network, joint_evaluations);
    }
  }

  Tensor latents_of(Evaluator& evaluator, const RunSpec& spec) const {
    EncodedInputs inputs{.conditions = pair.conditions};
    if (spec.options.init_image)
      inputs.init_latent = random_uniform("init", {1, spec.channels, spec.height, spec.width}, 1, 5);
    std::vector<Model> asked = models;
    for (size_t i = 0; i < asked.size(); ++i) asked[i].info.form = spec.stages[i].form;
    RunObserver silent;
    KeepLatents keep(spec);
    const IndexRange all = {0, spec.images()};
    run(*backend, evaluator, asked, spec, {&all, 1}, silent, keep, inputs);
    return keep.latents();
  }

  // A mix of requests that come one after the other, one of which is cancelled.
  void expect_as_alone(uint32_t seed) {
    Dice dice(seed);
    std::vector<RunSpec> specs;
    std::vector<std::chrono::microseconds> delays;
    for (int i = 0, count = 2 + dice.below(4); i < count; ++i) {
      const SampleOptions request = random_request(dice, pair);
      specs.push_back(make_run_spec(in_random_forms(dice, pair.infos, request.adaptive), request));
      delays.emplace_back(dice.below(2000));
    }
    std::vector<Tensor> together(specs.size());
    {
      StepBatcher batcher(*backend, dice.one_of<int64_t>({1, 3, 64}));
      const auto start = [&](const RunSpec& spec, Tensor& latents) {
        return batcher.start([&](Evaluator& evaluator) { latents = latents_of(evaluator, spec); });
      };
      Tensor never;
      const auto cancelled = start(specs[0], never);
      std::vector<std::shared_ptr<StepBatcher::Job>> jobs;
      for (size_t i = 0; i < specs.size(); ++i) {
        jobs.push_back(start(specs[i], together[i]));
        std::this_thread::sleep_for(delays[i]);
      }
      cancelled->cancel();
      for (const auto& job : jobs) ASSERT_EQ(job->wait(), StepBatcher::Outcome::done);
    }
    DirectEvaluator evaluator;
    for (size_t i = 0; i < specs.size(); ++i) {
      const Tensor alone = latents_of(evaluator, specs[i]);
      ASSERT_EQ(together[i].shape(), alone.shape());
      EXPECT_EQ(std::memcmp(together[i].bytes(), alone.bytes(), static_cast<size_t>(alone.elements()) * 4), 0)
          << "mix " << seed << ", request " << i << ": " << specs[i].options.sampler << " "
          << specs[i].options.steps;
    }
  }

  Pair pair = GetParam().second();
  std::unique_ptr<Backend> backend;
  std::vector<Model> models;
  std::atomic<int> joint_evaluations = 0;
};

TEST_P(Batching, EveryPictureIsWhatItIsAlone) {
  for (const auto& [dtype, first] : {std::pair{"f32", 0u}, {"bf16", 80u}}) {
    load(dtype);
    for (uint32_t seed = first; seed < (first == 0 ? 80u : kMixes); ++seed) {
      expect_as_alone(seed);
      if (HasFailure()) return;
    }
  }
  EXPECT_GE(joint_evaluations, kMixes / 5);  // on a quiet machine about a quarter of all there are
}

// The pictures of one run, too, are what they are with their own seed in a run of one.
TEST_P(Batching, APictureNeedsNothingButItsRequestAndSeed) {
  load("f32");
  DirectEvaluator evaluator;
  for (uint32_t seed = 0; seed < 10; ++seed) {
    Dice dice(seed);
    SampleOptions request = random_request(dice, pair);
    const RunSpec spec = make_run_spec(in_random_forms(dice, pair.infos, request.adaptive), request);
    const Tensor all = latents_of(evaluator, spec);
    for (int64_t image = 0; image < spec.images(); ++image) {
      RunSpec alone = spec;
      alone.subjects = {spec.subjects[static_cast<size_t>(image)]};
      alone.options.seed = spec.seed_of(image);
      const Tensor one = latents_of(evaluator, alone);
      EXPECT_EQ(std::memcmp(one.bytes(), all.slice(image, image + 1).bytes(),
                            static_cast<size_t>(one.elements()) * 4),
                0)
          << "request " << seed << ", image " << image;
    }
  }
}

// How many answers are alive at a time depends on who is how far: memory for the most of them is soon there,
// and then a run takes none.
TEST_P(Batching, TheSteadyStateAllocatesNothing) {
  load("f32");
  SampleOptions options{.fractions = {0, 1}, .sampler = "ddim", .steps = "30"};
  if (pair.prompts.empty())
    options.classes = {1};
  else
    options.prompts = {pair.prompts[0]};
  const RunSpec spec = make_run_spec(pair.infos, options);
  StepBatcher batcher(*backend);
  constexpr int kRounds = 20;
  int64_t allocated = -1;
  for (int round = 0; round < kRounds && allocated != 0; ++round) {
    const int64_t before = host_memory().statistics().system_allocations;
    std::vector<std::shared_ptr<StepBatcher::Job>> jobs;
    for (int i = 0; i < 3; ++i)
      jobs.push_back(batcher.start([&](Evaluator& evaluator) { latents_of(evaluator, spec); }));
    for (const auto& job : jobs) job->wait();
    allocated = host_memory().statistics().system_allocations - before;
  }
  EXPECT_EQ(allocated, 0) << "in every one of " << kRounds << " rounds of 3 runs";
}

INSTANTIATE_TEST_SUITE_P(Families, Batching,
                         testing::Values(Models{"DiT", dit_pair}, Models{"UNet", text_pair},
                                         Models{"LDM", token_pair}, Models{"LCM", told_pair},
                                         Models{"SDXL", sdxl_pair}),
                         [](const auto& test) { return test.param.first; });

}  // namespace
}  // namespace tstitch
