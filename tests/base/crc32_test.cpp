#include "tstitch/base/crc32.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace tstitch {
namespace {

uint32_t crc_of(const std::string& text) { return crc32(std::as_bytes(std::span(text))); }

// Bit by bit, from the definition.
uint32_t slow_crc(std::span<const std::byte> bytes) {
  uint32_t crc = ~0u;
  for (const std::byte byte : bytes) {
    crc ^= static_cast<uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320u : 0);
  }
  return ~crc;
}

TEST(Crc32, KnownValues) {
  EXPECT_EQ(crc_of(""), 0u);
  EXPECT_EQ(crc_of("123456789"), 0xCBF43926u);  // the check value of the catalogue of CRCs
  // Python: zlib.crc32
  EXPECT_EQ(crc_of(std::string(32, '\0')), 0x190A55ADu);
  EXPECT_EQ(crc_of("The quick brown fox jumps over the lazy dog"), 0x414FA339u);
}

TEST(Crc32, EveryLengthAndPartAgreesWithTheDefinition) {
  std::vector<std::byte> bytes(400);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * i * 31 + i / 7);
  for (size_t n = 0; n <= bytes.size(); ++n) {
    const auto whole = std::span(bytes).first(n);
    const uint32_t expected = slow_crc(whole);
    EXPECT_EQ(crc32(whole), expected) << n;
    EXPECT_EQ(crc32(whole.subspan(n / 3), crc32(whole.first(n / 3))), expected) << n;
  }
}

}  // namespace
}  // namespace tstitch
