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
  EXPECT_EQ(printable("\u009b31m"), "\\xc2\\x9b31m");             // the other form of ESC [
  EXPECT_EQ(printable("a\u202egnp.b"), "a\\xe2\\x80\\xaegnp.b");  // backwards from here
  EXPECT_EQ(printable("\u2028\u2069"), "\\xe2\\x80\\xa8\\xe2\\x81\\xa9");
  EXPECT_EQ(printable(std::string("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(printable(""), "");
}

TEST(Printable, ShowsUtf8AsItIs) {
  for (const char* text : {"ä.png", "фото/猫.npz", "\u00a0\u200d\u2030", "👗"})
    EXPECT_EQ(printable(text), text);
  EXPECT_EQ(printable("caf\xc3"), "caf\\xc3");  // cut short
  EXPECT_EQ(printable("\xe4.png"), "\\xe4.png");
  EXPECT_EQ(printable("\xc0\x80\xed\xa0\x80"), "\\xc0\\x80\\xed\\xa0\\x80");
}

TEST(Printable, CutsLongText) {
  EXPECT_EQ(printable("abcdef", 6), "abcdef");
  EXPECT_EQ(printable("abcdefg", 6), "abcdef...");
  EXPECT_EQ(printable("aäöü", 4), "aäö...");  // no half character
}

}  // namespace
}  // namespace tstitch
