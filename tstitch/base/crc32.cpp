#include "tstitch/base/crc32.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tstitch {
namespace {

constexpr uint32_t kReflected = 0xEDB88320;  // 0x04C11DB7, lowest power in the highest bit

// [k][b]: what byte b adds when k more bytes follow it.
constexpr auto kTables = [] {
  std::array<std::array<uint32_t, 256>, 8> tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? kReflected : 0);
    tables[0][byte] = crc;
  }
  for (size_t k = 1; k < tables.size(); ++k)
    for (size_t byte = 0; byte < 256; ++byte)
      tables[k][byte] = (tables[k - 1][byte] >> 8) ^ tables[0][tables[k - 1][byte] & 0xff];
  return tables;
}();

// Without the inversions; eight bytes at a time.
uint32_t remainder(const std::byte* p, size_t size, uint32_t crc) {
  for (; size >= 8; p += 8, size -= 8) {
    uint64_t word;
    std::memcpy(&word, p, sizeof word);
    word ^= crc;
    crc = 0;
    for (size_t k = 0; k < 8; ++k) crc ^= kTables[7 - k][(word >> (8 * k)) & 0xff];
  }
  for (; size; ++p, --size) crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<uint32_t>(*p)) & 0xff];
  return crc;
}

#if defined(__x86_64__)

// x^n modulo the polynomial, shifted as a product of two reflected factors comes out (one bit low).
constexpr uint64_t power(int n) {
  uint32_t value = 0x80000000;  // x^0
  for (int i = 0; i < n; ++i) value = (value >> 1) ^ (value & 1 ? kReflected : 0);
  return uint64_t{value} << 1;
}

// Gopal et al., "Fast CRC computation for generic polynomials using PCLMULQDQ" (Intel, 2009): 128 bits are
// carried over a distance of d bits by multiplying their halves by x^(d+32) and x^(d-32). Four registers
// hide the latency of the product. The last 16 bytes have the remainder of all that were folded into them.
__attribute__((target("pclmul,sse4.1"))) uint32_t folded(const std::byte*& p, size_t& size, uint32_t crc) {
  const auto load = [](const std::byte* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); };
  const __m128i far = _mm_set_epi64x(power(512 - 32), power(512 + 32));
  const __m128i near = _mm_set_epi64x(power(128 - 32), power(128 + 32));
  __m128i x[4];
  for (int i = 0; i < 4; ++i) x[i] = load(p + 16 * i);
  x[0] = _mm_xor_si128(x[0], _mm_cvtsi32_si128(static_cast<int>(crc)));
  for (p += 64, size -= 64; size >= 64; p += 64, size -= 64)
    for (int i = 0; i < 4; ++i)
      x[i] = _mm_xor_si128(load(p + 16 * i), _mm_xor_si128(_mm_clmulepi64_si128(x[i], far, 0x00),
                                                           _mm_clmulepi64_si128(x[i], far, 0x11)));
  for (int i = 1; i < 4; ++i)
    x[i] = _mm_xor_si128(x[i], _mm_xor_si128(_mm_clmulepi64_si128(x[i - 1], near, 0x00),
                                             _mm_clmulepi64_si128(x[i - 1], near, 0x11)));
  std::byte last[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(last), x[3]);
  return remainder(last, sizeof last, 0);
}

#endif

}  // namespace

uint32_t crc32(std::span<const std::byte> bytes, uint32_t crc) {
  const std::byte* p = bytes.data();
  size_t size = bytes.size();
  crc = ~crc;
#if defined(__x86_64__)
  static const bool kMultiplies = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
  if (kMultiplies && size >= 64) crc = folded(p, size, crc);
#endif
  return ~remainder(p, size, crc);
}

}  // namespace tstitch
