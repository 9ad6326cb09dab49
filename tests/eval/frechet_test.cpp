#include "tstitch/eval/frechet.h"

#include <gtest/gtest.h>

#include "features.h"
#include "tstitch/base/error.h"

namespace tstitch {
namespace {

GaussianStatistics statistics_of(const Tensor& x) {
  Moments moments(x.columns());
  moments.add(x);
  return moments.statistics();
}

TEST(Frechet, AgreesWithScipy) {
  for (const nlohmann::json& golden : golden_metrics("frechet")) {
    SCOPED_TRACE(golden.dump());
    const int64_t width = golden["width"];
    const GaussianStatistics a = statistics_of(features("a", golden["a"], width)),
                             b = statistics_of(features("b", golden["b"], width, golden["shift"]));
    double trace = 0;
    for (int64_t i = 0; i < width; ++i) trace += a.covariance[static_cast<size_t>(i * (width + 1))];
    EXPECT_NEAR(trace / golden["trace"].get<double>(), 1, 1e-12);
    const double distance = golden["distance"];
    EXPECT_NEAR(frechet_distance(a, b) / distance, 1, 1e-6);
    EXPECT_NEAR(frechet_distance(b, a) / distance, 1, 1e-6);
  }
}

TEST(Frechet, IsZeroOfASetToItself) {
  for (const int64_t count : {2, 40, 400}) {
    const GaussianStatistics a = statistics_of(features("a", count, 64));
    EXPECT_NEAR(frechet_distance(a, a), 0, 1e-6);
  }
}

TEST(Frechet, OfOneDimensionIsTheFormula) {
  const GaussianStatistics a{{1}, {4}}, b{{3}, {9}}, none{{1}, {0}};
  EXPECT_DOUBLE_EQ(frechet_distance(a, b), 4 + (3 - 2) * (3 - 2));
  EXPECT_DOUBLE_EQ(frechet_distance(a, none), 4);
  EXPECT_DOUBLE_EQ(frechet_distance(none, a), 4);
}

TEST(Moments, DoNotDependOnHowTheStreamIsCut) {
  Tensor x = features("a", 1300, 9);
  for (int64_t i = 0; i < x.elements(); ++i) x.data<float>()[i] += 1000;  // a mean that would cost digits
  const GaussianStatistics whole = statistics_of(x);
  Moments first(9), second(9), none(9);
  for (int64_t begin = 0; begin < 700; begin += 7) first.add(x.slice(begin, begin + 7));
  second.add(x.slice(700, 1300));
  first.merge(second);
  first.merge(none);
  none.merge(first);
  for (const Moments* moments : {&first, &none}) {
    EXPECT_EQ(moments->count(), 1300);
    const GaussianStatistics parts = moments->statistics();
    for (size_t i = 0; i < 9; ++i) EXPECT_NEAR(parts.mean[i], whole.mean[i], 1e-9);
    for (size_t i = 0; i < 81; ++i) EXPECT_NEAR(parts.covariance[i], whole.covariance[i], 1e-12);
  }
}

TEST(Moments, OfOneVectorHaveNoCovariance) {
  Moments moments(4);
  moments.add(features("a", 1, 4));
  EXPECT_THROW(moments.statistics(), Error);
}

}  // namespace
}  // namespace tstitch
