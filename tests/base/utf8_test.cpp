#include "tstitch/base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace tstitch {
namespace {

TEST(Utf8, WellFormed) {
  for (const std::string text : {"", "abc", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
                                 "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
    EXPECT_EQ(valid_utf8_prefix(text), text.size()) << text;
  EXPECT_EQ(valid_utf8_prefix(std::string_view("a\0b", 3)), 3u);
}

TEST(Utf8, Malformed) {
  for (const std::string tail : {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf",
                                 "\xe0\xa0", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf",
                                 "\xf0\x90\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xfe", "\xff"})
    EXPECT_EQ(valid_utf8_prefix("ab" + tail), 2u);
}

}  // namespace
}  // namespace tstitch
