#include "tstitch/serve/base64.h"

#include <gtest/gtest.h>

#include <random>

namespace tstitch::serve {
namespace {

std::optional<std::string> decoded(std::string_view text) {
  const auto bytes = from_base64(text);
  if (!bytes) return std::nullopt;
  return std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size());
}

// The examples of RFC 4648, section 10.
TEST(Base64, IsThatOfTheRfc) {
  for (const auto& [bytes, text] : {std::pair{"", ""},
                                    {"f", "Zg=="},
                                    {"fo", "Zm8="},
                                    {"foo", "Zm9v"},
                                    {"foob", "Zm9vYg=="},
                                    {"fooba", "Zm9vYmE="},
                                    {"foobar", "Zm9vYmFy"}}) {
    EXPECT_EQ(base64(std::string_view(bytes)), text);
    EXPECT_EQ(decoded(text), bytes);
  }
}

TEST(Base64, AnyBytesComeBack) {
  std::mt19937 random(1);
  for (size_t size = 0; size < 70; ++size) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    EXPECT_EQ(decoded(base64(bytes)), bytes);
  }
}

TEST(Base64, WhatIsNoneIsNothing) {
  for (const char* text : {"Z", "Zg=", "Zg===", "Z=g=", "Zm9v=", "Zm9v!", "Zm-_", "=", "Zm9vY"})
    EXPECT_EQ(decoded(text), std::nullopt) << text;
  EXPECT_EQ(decoded("Zm 9v\r\nYg"), "foob");  // lines, and no padding
}

}  // namespace
}  // namespace tstitch::serve
