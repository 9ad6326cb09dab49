#include "tstitch/base/index_range.h"

#include <gtest/gtest.h>

namespace tstitch {
namespace {

using Ranges = std::vector<IndexRange>;

TEST(IndexRange, MissingIsWhatNoPartHolds) {
  EXPECT_EQ(missing_from({0, 10}, {}), (Ranges{{0, 10}}));
  EXPECT_EQ(missing_from({0, 10}, {{0, 10}}), Ranges{});
  EXPECT_EQ(missing_from({0, 10}, {{6, 2}, {2, 3}}), (Ranges{{0, 2}, {5, 1}, {8, 2}}));
  EXPECT_EQ(missing_from({0, 10}, {{0, 6}, {1, 2}, {3, 4}}), (Ranges{{7, 3}}));  // overlapping
  EXPECT_EQ(missing_from({5, 5}, {{0, 6}, {9, 9}}), (Ranges{{6, 3}}));           // reaching out
  EXPECT_EQ(missing_from({5, 5}, {{0, 5}, {10, 5}, {7, 0}}), (Ranges{{5, 5}}));  // beside, empty
  EXPECT_EQ(missing_from({3, 0}, {}), Ranges{});
}

// Against counting one by one.
TEST(IndexRange, MissingIsRightForAllPairs) {
  for (int a = 0; a < 7; ++a)
    for (int b = 0; a + b < 8; ++b)
      for (int c = 0; c < 7; ++c)
        for (int d = 0; c + d < 8; ++d) {
          std::vector<bool> left(8), expected(8);
          for (const IndexRange& range : missing_from({1, 6}, {{a, b}, {c, d}}))
            for (int64_t i = range.first; i < range.end(); ++i) left[static_cast<size_t>(i)] = true;
          for (int i = 1; i < 7; ++i)
            expected[static_cast<size_t>(i)] = !(a <= i && i < a + b) && !(c <= i && i < c + d);
          EXPECT_EQ(left, expected) << a << " " << b << " " << c << " " << d;
        }
}

TEST(IndexRange, IsPrintedForPeople) {
  const Ranges ranges = {{0, 8}, {12, 1}, {20, 2}};
  EXPECT_EQ(total(ranges), 11);
  EXPECT_EQ(to_string(ranges), "0-7, 12, 20-21");
  EXPECT_EQ(to_string(ranges, 1), "0-7, and 2 more ranges");
}

}  // namespace
}  // namespace tstitch
