#include "tstitch/tune/similarity.h"

#include <gtest/gtest.h>

#include <limits>

#include "analyses.h"
#include "tests/support/fake_device.h"
#include "tstitch/base/error.h"
#include "tstitch/engine/stage_denoiser.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

Similarity between(const Tensor& a, const Tensor& b) {
  Similarity similarity;
  similarity.add(a, b);
  return similarity;
}

TEST(Similarity, AgreesWithNumPy) {
  for (const nlohmann::json& golden : golden_analyses("similarity")) {
    SCOPED_TRACE(golden.dump());
    const Shape shape = shape_of(golden);
    const Tensor a = array("first", shape), noise = array("second", shape);
    Tensor b(shape, DType::f32);
    for (int64_t i = 0; i < a.elements(); ++i)
      b.data<float>()[i] =
          static_cast<float>(a.data<float>()[i] + golden["noise"].get<double>() * noise.data<float>()[i]);
    Similarity parts;
    for (int64_t i = 0; i < shape[0]; ++i) parts.add(a.slice(i, i + 1), b.slice(i, i + 1));
    for (const Similarity& similarity : {between(a, b), parts}) {
      EXPECT_NEAR(similarity.cosine().mean, golden["cosine_mean"], 1e-12);
      EXPECT_NEAR(similarity.cosine().deviation, golden["cosine_deviation"], 1e-12);
      EXPECT_NEAR(similarity.mse() / golden["mse"].get<double>(), 1, 1e-10);
      EXPECT_NEAR(similarity.relative_mse() / golden["relative_mse"].get<double>(), 1, 1e-10);
      EXPECT_EQ(similarity.images(), shape[0]);
    }
  }
}

TEST(Similarity, OfATensorWithItselfIsOne) {
  const Tensor a = array("first", {4, 1, 8, 8});
  EXPECT_EQ(between(a, a).cosine().mean, 1);
  EXPECT_EQ(between(a, a).cosine().deviation, 0);
  EXPECT_EQ(between(a, a).mse(), 0);
  EXPECT_EQ(between(a, a).relative_mse(), 0);
}

TEST(Similarity, OfNothingIsNoNumberThatMisleads) {
  Tensor zero({1, 2}, DType::f32), one({1, 2}, DType::f32);
  for (int i : {0, 1}) {
    zero.data<float>()[i] = 0;
    one.data<float>()[i] = 1;
  }
  EXPECT_EQ(between(zero, zero).cosine().mean, 1);
  EXPECT_EQ(between(zero, one).cosine().mean, 0);
  EXPECT_EQ(between(zero, one).relative_mse(), 1);
  EXPECT_EQ(between(one, zero).relative_mse(), std::numeric_limits<double>::infinity());
  one.data<float>()[1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(between(zero, one), Error);
}

void expect_identical(const PairSimilarity& pair) {
  for (const StepSimilarity& step : pair.steps) {
    EXPECT_NEAR(step.cosine.mean, 1, 1e-12);
    EXPECT_NEAR(step.cosine.deviation, 0, 1e-12);
    EXPECT_EQ(step.mse, 0);
  }
}

TEST(PredictionSimilarity, IsOneBetweenAModelAndItself) {
  const Small small({"one", "two", "one"});
  RunObserver silent;
  const auto pairs =
      prediction_similarity(*small.backend, small.models, served_by(*small.spec, 2), silent, small.inputs);
  ASSERT_EQ(pairs.size(), 3u);  // (0, 1), (0, 2), (1, 2)
  for (const PairSimilarity& pair : pairs) {
    ASSERT_EQ(pair.steps.size(), 6u);
    if (pair.first == 0 && pair.second == 2) {
      expect_identical(pair);
      continue;
    }
    for (const StepSimilarity& step : pair.steps) {
      EXPECT_LT(step.cosine.mean, 0.99);
      EXPECT_GT(step.relative_mse, 1e-3);
    }
  }
}

// One step by hand: both models asked at the noise of the start.
TEST(PredictionSimilarity, IsThatOfWhatTheModelsPredict) {
  const Small small({"one", "two"});
  struct First final : RunObserver {
    void predicted(IndexRange, const Step& step, const Tensor& at, const Prediction&) override {
      if (step.index == 0) x.push_back(at);
    }
    std::vector<Tensor> x;
  } first;
  const auto pairs = prediction_similarity(*small.backend, small.models, *small.spec, first, small.inputs);
  run(*small.backend, small.models, *small.spec, first);
  ASSERT_EQ(first.x.size(), 3u);  // batches; the analysis keeps its own observer
  Similarity expected;
  for (int64_t batch = 0; batch < 3; ++batch) {
    const IndexRange images = {2 * batch, batch < 2 ? 2 : 1};
    std::vector<Tensor> eps;
    ConditionBinder binder(small.spec->height, small.spec->width);
    DirectEvaluator evaluator;
    for (const Model& model : small.models) {
      const StageRows rows = bind_rows(binder, model, *small.spec, cfg_scale_of(*small.spec, 0),
                                       *small.inputs.conditions[0], images);
      const auto denoiser =
          make_denoiser(*small.backend, evaluator, model, *small.spec, small.spec->stages[0].cfg_scale, rows);
      const Prediction prediction =
          denoiser->predict(first.x[static_cast<size_t>(batch)], small.spec->trajectory[0].level);
      eps.push_back(small.backend->download(to_channels_first(*small.backend, prediction.eps)));
    }
    expected.add(eps[0], eps[1]);
  }
  const StepSimilarity& step = pairs[0].steps[0];
  EXPECT_EQ(step.cosine.mean, expected.cosine().mean);
  EXPECT_EQ(step.cosine.deviation, expected.cosine().deviation);
  EXPECT_EQ(step.mse, expected.mse());
  EXPECT_EQ(step.relative_mse, expected.relative_mse());
  EXPECT_EQ(step.level, small.spec->trajectory[0].level);
}

// Whoever drives, models of a solver with two evaluations per step are compared once per step.
TEST(PredictionSimilarity, CountsStepsNotEvaluations) {
  Small small({"one", "one"});
  small.spec->options.sampler = "heun";
  RunObserver silent;
  const auto pairs = prediction_similarity(*small.backend, small.models, *small.spec, silent, small.inputs);
  ASSERT_EQ(pairs[0].steps.size(), 6u);
  expect_identical(pairs[0]);
}

TEST(Similarity, OnADeviceIsThatOfTheHost) {
  const Small host({"one", "two"}), device({"one", "two"}, fake_device({.dtype = "f32", .threads = 2}));
  RunObserver silent;
  for (const auto analysis : {prediction_similarity, latent_similarity}) {
    const auto found = analysis(*device.backend, device.models, *device.spec, silent, device.inputs),
               expected = analysis(*host.backend, host.models, *host.spec, silent, host.inputs);
    ASSERT_EQ(found[0].steps.size(), expected[0].steps.size());
    for (size_t i = 0; i < expected[0].steps.size(); ++i) {
      EXPECT_EQ(found[0].steps[i].cosine.mean, expected[0].steps[i].cosine.mean);
      EXPECT_EQ(found[0].steps[i].mse, expected[0].steps[i].mse);
      EXPECT_EQ(found[0].steps[i].x0_mse, expected[0].steps[i].x0_mse);
    }
  }
}

TEST(LatentSimilarity, BeginsAtOneAndEndsWithTheImages) {
  const Small small({"one", "two", "two"});
  RunObserver silent;
  const auto pairs = latent_similarity(*small.backend, small.models, *small.spec, silent, small.inputs);
  ASSERT_EQ(pairs.size(), 3u);
  const auto latents = [&](int model) {
    return run(*small.backend, small.models, served_by(*small.spec, model), silent).latents;
  };
  for (const PairSimilarity& pair : pairs) {
    ASSERT_EQ(pair.steps.size(), 7u);
    EXPECT_EQ(pair.steps[0].mse, 0);
    const Similarity last = between(latents(pair.first), latents(pair.second));
    EXPECT_EQ(pair.steps[6].cosine.mean, last.cosine().mean);
    EXPECT_EQ(pair.steps[6].cosine.deviation, last.cosine().deviation);
    EXPECT_NEAR(pair.steps[6].mse, last.mse(), 1e-12);
  }
  expect_identical(pairs.back());
  EXPECT_LT(pairs[0].steps[6].cosine.mean, 0.999);
}

TEST(Similarity, OfACancelledRunIsNothing) {
  const Small small({"one", "two"});
  Impatient first, second;
  EXPECT_TRUE(prediction_similarity(*small.backend, small.models, *small.spec, first, small.inputs).empty());
  EXPECT_TRUE(latent_similarity(*small.backend, small.models, *small.spec, second, small.inputs).empty());
  EXPECT_EQ(second.steps, 4);
}

}  // namespace
}  // namespace tstitch
