#include "tstitch/eval/precision_recall.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "features.h"
#include "tstitch/base/error.h"

namespace tstitch {
namespace {

void copy_row(Tensor& to, int64_t i, const Tensor& from, int64_t j) {
  std::memcpy(to.data<float>() + i * to.columns(), from.data<float>() + j * from.columns(),
              static_cast<size_t>(to.columns()) * sizeof(float));
}

TEST(PrecisionRecall, CountsAreThoseOfBruteForceInNumPy) {
  for (const nlohmann::json& golden : golden_metrics("precision_recall")) {
    const int64_t count = golden["count"], width = golden["width"];
    Tensor x = features("reference", count, width), y = features("samples", count - 20, width, 0.4);
    copy_row(x, 1, x, 0);
    copy_row(x, count - 1, x, 3);
    for (int64_t i = 0; i < 5; ++i) copy_row(y, i, x, 10 + i);
    for (const char* device : {"cpu", "reference"}) {
      SCOPED_TRACE(testing::Message() << golden.dump() << ' ' << device);
      const auto backend = make_backend({.device = device, .dtype = "f32", .threads = 2});
      const PrecisionRecall result = precision_recall(*backend, x, y, golden["k"]);
      EXPECT_EQ(result.precise, golden["precise"]);
      EXPECT_EQ(result.recalled, golden["recalled"]);
      EXPECT_EQ(result.samples, count - 20);
      EXPECT_EQ(result.references, count);
    }
  }
}

// Points so far from the origin that products in f32 say nothing: every pair has to be measured.
TEST(PrecisionRecall, ADistantOriginChangesNoCount) {
  const auto backend = make_backend({.dtype = "f32", .threads = 2});
  Tensor x = features("reference", 200, 8), y = features("samples", 150, 8, 0.2);
  for (Tensor* points : {&x, &y})
    for (int64_t i = 0; i < points->elements(); ++i)  // multiples of 2^-8: moving them rounds nothing
      points->data<float>()[i] = std::round(points->data<float>()[i] * 256) / 256;
  const PrecisionRecall near = precision_recall(*backend, x, y);
  y.data<float>()[0] += 16384;  // one far sample, no common origin
  x.data<float>()[0] += 16384;
  const PrecisionRecall one_far = precision_recall(*backend, x, y);
  EXPECT_LT(0, near.precise);
  EXPECT_LT(near.precise, 150);
  EXPECT_NEAR(static_cast<double>(one_far.precise), static_cast<double>(near.precise), 10);
  for (Tensor* points : {&x, &y}) points->data<float>()[0] -= 16384;
  for (Tensor* points : {&x, &y})
    for (int64_t i = 0; i < points->elements(); ++i) points->data<float>()[i] += 4096;
  const PrecisionRecall far = precision_recall(*backend, x, y);
  EXPECT_EQ(far.precise, near.precise);
  EXPECT_EQ(far.recalled, near.recalled);
}

TEST(PrecisionRecall, DistancesAreOfTheKthOther) {
  const auto backend = make_backend({.dtype = "f32", .threads = 2});
  // 0, 1, 3, 6, 10 ... on a line, more than a block of them.
  constexpr int64_t kCount = 2500;
  Tensor x({kCount, 1}, DType::f32);
  for (int64_t i = 0; i < kCount; ++i) x.data<float>()[i] = static_cast<float>(i * (i + 1) / 2);
  const std::vector<double> second = neighbour_distances(*backend, x, 2);
  EXPECT_EQ(second[0], 9);
  for (int64_t i = 3; i < kCount; ++i) {
    const double to_two_before = static_cast<double>(i + i - 1), to_next = static_cast<double>(i + 1);
    EXPECT_EQ(second[static_cast<size_t>(i)],
              i + 1 < kCount ? to_next * to_next : to_two_before * to_two_before);
  }
}

TEST(PrecisionRecall, RefusesTooFewAndWhatIsNotFinite) {
  const auto backend = make_backend({.dtype = "f32", .threads = 2});
  const Tensor x = features("reference", 4, 3);
  EXPECT_THROW(precision_recall(*backend, x, x.slice(0, 3)), Error);
  EXPECT_THROW(precision_recall(*backend, x.slice(0, 3), x), Error);
  Tensor y = features("samples", 5, 3);
  y.data<float>()[7] = std::nanf("");
  EXPECT_THROW(precision_recall(*backend, x, y), Error);
}

}  // namespace
}  // namespace tstitch
