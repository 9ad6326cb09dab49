// What holds bit for bit, whatever the models: the identities of stitching, and that an image depends on its
// seed and not on its company.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>

#include "tests/engine/tiny_dits.h"
#include "tests/support/expect_error.h"
#include "tstitch/base/error.h"

namespace tstitch {
namespace {

class Identities : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {
 protected:
  Setting setting(std::vector<std::string> tags, std::vector<double> fractions) const {
    Setting s;
    std::tie(s.dtype, s.options.sampler) = GetParam();
    s.tags = std::move(tags);
    s.options.fractions = std::move(fractions);
    return s;
  }
};

TEST_P(Identities, AModelStitchedWithItselfIsUnstitched) {
  expect_equal(sample(setting({"two", "two"}, {0.4, 0.6})).latents, sample(setting({"two"}, {1})).latents);
}

TEST_P(Identities, RatioZeroAndOneAreThePureModels) {
  expect_equal(sample(setting({"one", "two"}, {0, 1})).latents, sample(setting({"two"}, {1})).latents);
  expect_equal(sample(setting({"one", "two"}, {1, 0})).latents, sample(setting({"one"}, {1})).latents);
}

TEST_P(Identities, StitchingChangesTheImage) {
  const Tensor pure = sample(setting({"two"}, {1})).latents,
               stitched = sample(setting({"one", "two"}, {0.5, 0.5})).latents;
  EXPECT_NE(std::memcmp(pure.bytes(), stitched.bytes(), static_cast<size_t>(pure.elements()) * 4), 0);
}

TEST_P(Identities, ThreadsDoNotChangeTheImage) {
  Setting one = setting({"one", "two"}, {0.5, 0.5}), three = one;
  one.threads = 1;
  three.threads = 3;
  const Tensor with_two = sample(setting({"one", "two"}, {0.5, 0.5})).latents;
  expect_equal(sample(one).latents, with_two);
  expect_equal(sample(three).latents, with_two);
}

TEST_P(Identities, CompanyDoesNotChangeTheImage) {
  Setting together = setting({"one", "two"}, {0.5, 0.5}), apart = together;
  together.options.batch_count = apart.options.batch_count = 3;
  together.options.batch_size = 9;
  apart.options.batch_size = 1;
  expect_equal(sample(together).latents, sample(apart).latents);
  apart.options.batch_size = 2;
  expect_equal(sample(together).latents, sample(apart).latents);
}

TEST_P(Identities, EvaluationsAreWhatTheTrajectorySays) {
  Setting s = setting({"one", "two"}, {0.5, 0.5});
  s.options.batch_size = 2;  // three images: two batches
  const RunResult result = sample(s);
  EXPECT_EQ(result.models[0].evaluations, 2 * 3);
  EXPECT_EQ(result.models[1].evaluations, 2 * 3);
}

// After how many steps the only image of a run went over.
int switch_of(const RunResult& result) {
  for (size_t steps = 0; steps < result.small_steps.size(); ++steps)
    if (result.small_steps[steps]) return static_cast<int>(steps);
  return -1;
}

TEST_P(Identities, AnAdaptiveImageIsOneOfAFixedSwitchAndDoesNotDependOnItsCompany) {
  Setting together = setting({"one", "two"}, {});
  together.options.adaptive = true;
  together.options.switch_threshold = 1000;
  together.options.steps = "12";
  together.options.cfg_scale = 1.5;
  together.options.classes = {1, 4, 9, 4, 2};
  together.options.batch_size = 5;
  // Networks without training find no details: they come from starts of different size.
  Tensor start({5, 1, 28, 28}, DType::f32);
  for (int64_t i = 0; i < start.elements(); ++i)
    start.data<float>()[i] = static_cast<float>(std::sin(i) * std::pow(4, i / (28 * 28)));
  together.options.given.initial = start;
  const RunResult all = sample(together);
  Setting apart = together;
  apart.options.batch_size = 2;
  expect_equal(sample(apart).latents, all.latents);

  std::set<int> switches;
  for (int64_t image = 0; image < 5; ++image) {
    Setting alone = together;
    alone.options.classes = {together.options.classes[static_cast<size_t>(image)]};
    alone.options.given.initial = start.slice(image, image + 1);
    const RunResult adaptive = sample(alone);
    if (together.options.sampler == "ddim")  // without noise, whose address is the image
      expect_equal(adaptive.latents, all.latents.slice(image, image + 1));
    const int switch_step = switch_of(adaptive);
    switches.insert(switch_step);
    alone.options.adaptive = false;
    alone.options.switch_threshold.reset();
    alone.options.switch_steps = {switch_step};
    const RunResult fixed = sample(alone);
    expect_equal(fixed.latents, adaptive.latents);
    for (const size_t model : {0, 1})
      EXPECT_EQ(fixed.models[model].evaluations, adaptive.models[model].evaluations);
  }
  EXPECT_GE(switches.size(), 3u);
}

// Images that switch one by one would need the variance of some rows only.
TEST(Adaptive, RefusesAVarianceOfSomeImagesOnly) {
  const auto backend = make_backend({.dtype = "f32", .threads = 1});
  DiTConfig with = kTiny, without = larger();
  with.learn_sigma = true;
  without.learn_sigma = false;
  const std::vector<Model> models = {random_model(dit_info(with, "one"), 3, *backend),
                                     random_model(dit_info(without, "two"), 3, *backend)};
  Tensor start({2, 1, 28, 28}, DType::f32);
  for (int64_t i = 0; i < start.elements(); ++i)
    start.data<float>()[i] = static_cast<float>(std::sin(i) * std::pow(64, i / (28 * 28)));
  const SampleOptions options{.adaptive = true,
                              .switch_threshold = 1000,
                              .steps = "12",
                              .classes = {1, 4},
                              .given = {.initial = start, .steps = {}}};
  RunObserver silent;
  testing::expect_error(ErrorKind::input, "predicts a variance", [&] {
    run(*backend, models, make_run_spec({models[0].info, models[1].info}, options), silent);
  });
}

INSTANTIATE_TEST_SUITE_P(
    All, Identities, ::testing::Combine(::testing::Values("f32", "bf16"), ::testing::Values("ddim", "ddpm")),
    [](const auto& test) { return std::get<0>(test.param) + "_" + std::get<1>(test.param); });

// Counts the system's allocations behind tensors, step by step.
class AllocationCounter final : public RunObserver {
 public:
  void progress(const Progress& progress) override {
    const int64_t now = host_memory().statistics().system_allocations;
    // The first step of a model may allocate; what it took is seen before the step after it.
    if (progress.step > 0 && progress.model == previous_model_ && steps_of_model_ >= 1)
      late_ += now - before_;
    steps_of_model_ = progress.model == previous_model_ ? steps_of_model_ + 1 : 0;
    previous_model_ = progress.model;
    before_ = now;
  }
  int64_t late() const { return late_; }

 private:
  int64_t before_ = 0, late_ = 0;
  int previous_model_ = -1, steps_of_model_ = 0;
};

TEST(SteadyState, NothingIsAllocatedAfterAModelsFirstStep) {
  for (const char* sampler : {"ddim", "ddpm"})
    for (const char* dtype : {"f32", "bf16"}) {
      const auto backend = make_backend({.device = "cpu", .dtype = dtype, .threads = 2});
      std::vector<Model> models;
      models.push_back(random_model(dit_info(kTiny, "one"), 3, *backend));
      models.push_back(random_model(dit_info(larger(), "two"), 3, *backend));
      const std::vector<ModelInfo> infos = {models[0].info, models[1].info};
      host_memory().trim();
      AllocationCounter counter;
      run(*backend, models,
          make_run_spec(infos,
                        {.fractions = {0.5, 0.5}, .sampler = sampler, .steps = "12", .classes = {1, 2}}),
          counter);
      EXPECT_EQ(counter.late(), 0) << sampler << " " << dtype;
    }
}

TEST(Cancelling, EndsAfterTheStepInProgress) {
  struct AfterFour final : RunObserver {
    int asked = 0;
    bool cancelled() override { return ++asked == 4; }
  } observer;
  const auto backend = make_backend({.device = "cpu", .dtype = "f32", .threads = 1});
  std::vector<Model> models;
  models.push_back(random_model(dit_info(kTiny, "one"), 3, *backend));
  const RunResult result =
      run(*backend, models,
          make_run_spec({models[0].info}, {.fractions = {1}, .steps = "12", .classes = {1}}), observer);
  EXPECT_TRUE(result.cancelled);
  EXPECT_EQ(result.models[0].evaluations, 4);
}

TEST(NotFinite, IsRefusedWithTheImage) {
  const auto backend = make_backend({.device = "cpu", .dtype = "f32", .threads = 1});
  std::vector<Model> models;
  models.push_back(random_model(dit_info(kTiny, "one"), 3, *backend));
  Tensor start({2, 1, 28, 28}, DType::f32);
  std::fill_n(start.data<float>(), start.elements(), 0.5f);
  start.data<float>()[28 * 28 + 5] = 3e38f;  // overflows in the second image
  RunObserver silent;
  try {
    run(*backend, models,
        make_run_spec(
            {models[0].info},
            {.fractions = {1}, .steps = "4", .classes = {1, 2}, .given = {.initial = start, .steps = {}}}),
        silent);
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("image 1 "), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace tstitch
