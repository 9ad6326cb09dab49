#include "tstitch/eval/inception_score.h"

#include <gtest/gtest.h>

#include "features.h"
#include "tstitch/base/error.h"

namespace tstitch {
namespace {

TEST(InceptionScore, AgreesWithScipy) {
  for (const nlohmann::json& golden : golden_metrics("inception_score")) {
    SCOPED_TRACE(golden.dump());
    const Tensor logits = random_uniform("eval/logits", {golden["count"], golden["classes"]}, 3, 7);
    InceptionScore whole(golden["split"]), rows(golden["split"]);
    whole.add(logits);
    for (int64_t i = 0; i < logits.extent(0); ++i) rows.add(logits.slice(i, i + 1));
    EXPECT_NEAR(whole.value(), golden["score"], 1e-12);
    EXPECT_EQ(rows.value(), whole.value());
  }
}

// One image of each class, each surely its own: the score is the number of classes.
TEST(InceptionScore, OfSureAnswersIsTheNumberOfClasses) {
  Tensor logits = random_uniform("eval/none", {6, 6}, 0, 7);
  for (int64_t i = 0; i < 6; ++i) logits.data<float>()[i * 7] = 1000;
  InceptionScore score;
  score.add(logits);
  EXPECT_NEAR(score.value(), 6, 1e-12);
}

TEST(InceptionScore, OfNothingIsRefused) { EXPECT_THROW(InceptionScore().value(), Error); }

}  // namespace
}  // namespace tstitch
