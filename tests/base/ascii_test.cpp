#include "tstitch/base/ascii.h"

#include <gtest/gtest.h>

namespace tstitch {
namespace {

TEST(Ascii, OnlyItsCapitalsHaveSmallOnes) {
  EXPECT_EQ(ascii_lowered("@AZ[`az{ 09-\xC3\x89"), "@az[`az{ 09-\xC3\x89");
  EXPECT_EQ(ascii_lowered(""), "");
  static_assert(ascii_lower('Q') == 'q');
}

}  // namespace
}  // namespace tstitch
