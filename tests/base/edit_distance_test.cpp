#include "tstitch/base/edit_distance.h"

#include <gtest/gtest.h>

namespace tstitch {
namespace {

TEST(EditDistance, CountsSlips) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("abc", ""), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("flaw", "lawn"), 2u);
  EXPECT_EQ(edit_distance("retreiver", "retriever"), 1u);  // swapped neighbours
  EXPECT_EQ(edit_distance("ca", "abc"), 3u);               // 2 if a swapped pair could be torn apart
  EXPECT_EQ(edit_distance("sandal", "sandal"), 0u);
}

}  // namespace
}  // namespace tstitch
