#include "tstitch/base/error.h"

#include <gtest/gtest.h>

namespace tstitch {
namespace {

TEST(Error, CarriesKindAndConcatenatedMessage) {
  try {
    check(false, ErrorKind::input, "row ", 7, " of '", "x", "', expected ", 1.5);
    FAIL() << "check(false) returned";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_STREQ(error.what(), "row 7 of 'x', expected 1.5");
  }
}

TEST(Error, CheckPassesInSilence) {
  EXPECT_NO_THROW(check(true, ErrorKind::usage, "not this"));
  EXPECT_NO_THROW(check_internal(true, "nor this"));
}

TEST(Error, InternalErrorsSayThatTheyAre) {
  try {
    check_internal(1 > 2, "1 > 2");
    FAIL() << "check_internal(false) returned";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::internal);
    EXPECT_STREQ(error.what(), "internal error: 1 > 2");
  }
}

TEST(Printable, EscapesWhatATerminalWouldObey) {
  EXPECT_EQ(printable("blocks.3.mlp"), "blocks.3.mlp");
  EXPECT_EQ(printable("a\x1b[31mb\n"), "a\\x1b[31mb\\x0a");
  EXPECT_EQ(printable("\xc3\xa4"), "\\xc3\\xa4");
  EXPECT_EQ(printable(std::string("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(printable(""), "");
}

TEST(Printable, CutsLongText) {
  EXPECT_EQ(printable("abcdef", 6), "abcdef");
  EXPECT_EQ(printable("abcdefg", 6), "abcdef...");
}

}  // namespace
}  // namespace tstitch
