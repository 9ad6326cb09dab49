#include "tstitch/models/token_merging.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "tstitch/nn/random_weights.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

TEST(TokenMerging, TakesOneTokenOfEveryCell) {
  for (const auto& [height, width] : {std::pair{8, 8}, {5, 7}, {2, 2}, {40, 38}, {1, 9}}) {
    const Extent2d extent(height, width);
    std::set<std::vector<int64_t>> draws;
    for (int64_t evaluation = 0; evaluation < 4; ++evaluation)
      for (const int64_t block : {0, 3}) {
        const std::vector<int64_t> targets =
            merge_targets(extent, {.seed = 7, .evaluation = evaluation}, block);
        draws.insert(targets);
        ASSERT_EQ(std::ssize(targets), (height / 2) * (width / 2));
        for (size_t cell = 0; cell < targets.size(); ++cell) {
          const int64_t y = targets[cell] / width, x = targets[cell] % width;
          EXPECT_EQ(y / 2 * (width / 2) + x / 2, static_cast<int64_t>(cell));
        }
      }
    EXPECT_TRUE(height <= 2 || draws.size() == 8) << height;
  }
}

TEST(TokenMerging, CountsWhatIsLeft) {
  EXPECT_EQ(merge_counts({8, 8}, 0.5).merged, 32);
  EXPECT_EQ(merge_counts({8, 8}, 0.75).merged, 48);
  EXPECT_EQ(merge_counts({5, 7}, 0.3).merged, 10);
  EXPECT_EQ(merge_counts({5, 7}, 0.9).merged, 29);
  EXPECT_EQ(merge_counts({1, 9}, 0.5).merged, 0);
}

// Every token joins the target of its picture that it is most like, if any; tokens of a group get the same.
TEST(TokenMerging, GroupsAreOfThoseThatAreMostAlike) {
  const auto backend = make_backend({.dtype = "f32", .threads = 2});
  constexpr int64_t kPictures = 2, kHeight = 5, kWidth = 7, kTokens = kHeight * kWidth, kChannels = 6;
  const TokenMerging::Draw draws[] = {{1, 4}, {2, 4}};
  const Tensor x = random_uniform("x", {kPictures, kTokens, kChannels}, 1, 7);
  for (const double ratio : {0.1, 0.5, 0.75}) {
    const TokenGroups groups(*backend, x, {kHeight, kWidth}, {ratio, draws}, 2);
    const MergeCounts counts = merge_counts({kHeight, kWidth}, ratio);
    const Tensor merged = groups.merge(x);
    ASSERT_EQ(merged.shape(), Shape({kPictures, kTokens - counts.merged, kChannels}));
    // Which group a token is in: number them.
    Tensor numbers({kPictures, merged.extent(1), 1}, DType::f32), spread({kPictures, kTokens, 1}, DType::f32);
    for (int64_t i = 0; i < numbers.elements(); ++i) numbers.data<float>()[i] = static_cast<float>(i);
    std::fill_n(spread.data<float>(), spread.elements(), 0.f);
    groups.add_to(spread, numbers);
    for (int64_t n = 0; n < kPictures; ++n) {
      const std::vector<int64_t> targets = merge_targets({kHeight, kWidth}, draws[static_cast<size_t>(n)], 2);
      const auto group_of = [&](int64_t t) { return spread.data<float>()[n * kTokens + t]; };
      const auto cosine = [&](int64_t a, int64_t b) {
        double ab = 0, aa = 0, bb = 0;
        for (int64_t c = 0; c < kChannels; ++c) {
          const double p = x.data<float>()[(n * kTokens + a) * kChannels + c],
                       q = x.data<float>()[(n * kTokens + b) * kChannels + c];
          ab += p * q, aa += p * p, bb += q * q;
        }
        return ab / std::sqrt(aa * bb);
      };
      double least_joined = 1, most_alone = -1;
      int64_t joined = 0;
      for (int64_t t = 0; t < kTokens; ++t) {
        if (std::ranges::count(targets, t)) continue;
        const int64_t nearest =
            *std::ranges::max_element(targets, {}, [&](int64_t target) { return cosine(t, target); });
        const bool joins = group_of(t) == group_of(nearest);
        joined += joins;
        if (joins)
          least_joined = std::min(least_joined, cosine(t, nearest));
        else
          most_alone = std::max(most_alone, cosine(t, nearest));
      }
      EXPECT_EQ(joined, counts.merged);
      EXPECT_GE(least_joined, most_alone);
      // Means, in one place.
      std::vector<double> sum(static_cast<size_t>(kChannels));
      double members = 0;
      for (int64_t t = 0; t < kTokens; ++t)
        if (group_of(t) == group_of(targets[0])) {
          ++members;
          for (size_t c = 0; c < sum.size(); ++c)
            sum[c] += x.data<float>()[(n * kTokens + t) * kChannels + static_cast<int64_t>(c)];
        }
      const auto row = static_cast<int64_t>(group_of(targets[0]));
      for (size_t c = 0; c < sum.size(); ++c)
        EXPECT_NEAR(merged.data<float>()[row * kChannels + static_cast<int64_t>(c)], sum[c] / members, 1e-6);
    }
  }
}

// Numbers that are none reach the picture and nothing worse.
TEST(TokenMerging, OfTokensThatAreNoNumbersIsHarmless) {
  const auto backend = make_backend({.dtype = "f32", .threads = 1});
  const TokenMerging::Draw draw{1, 0};
  Tensor x = random_uniform("x", {1, 64, 8}, 1, 7);
  for (int64_t i = 0; i < x.elements(); i += 5)
    x.data<float>()[i] = i % 2 ? std::nanf("") : std::numeric_limits<float>::infinity();
  std::fill_n(x.data<float>() + 40, 16, 0.f);
  EXPECT_EQ(TokenGroups(*backend, x, {8, 8}, {0.5, {&draw, 1}}, 0).merge(x).extent(1), 32);
}

}  // namespace
}  // namespace tstitch
