#include "tstitch/tensor/block_type.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>

#include "tstitch/tensor/dtype.h"

// Products and sums are rounded one by one, in the order in which they are written: this file is compiled
// without contraction to fused operations.
namespace tstitch {
namespace {

constexpr int kSmall = 32, kLarge = 256;  // elements of a block

float half(const uint8_t* at) {
  float16 x;
  std::memcpy(&x, at, sizeof x);
  return to_float(x);
}

void put_half(float x, uint8_t* at) {
  const float16 rounded = to_float16(x);
  std::memcpy(at, &rounded, sizeof rounded);
}

bool is_finite_half(const uint8_t* at) { return std::isfinite(half(at)); }

int low(uint8_t byte) { return byte & 15; }
int high(uint8_t byte) { return byte >> 4; }

// The 16 bytes of a small block hold the first 16 elements in their lower halves, the others in the upper:
// to[i] = value(its bits, i).
template <class Value>
void each_nibble(const uint8_t* bytes, float* to, const Value& value) {
  for (int i = 0; i < kSmall / 2; ++i) to[i] = value(low(bytes[i]), i);
  for (int i = 0; i < kSmall / 2; ++i) to[i + kSmall / 2] = value(high(bytes[i]), i + kSmall / 2);
}

// The fifth bits of a small block, in a place of their own.
struct FifthBits {
  uint32_t bits;
  explicit FifthBits(const uint8_t* at) { std::memcpy(&bits, at, sizeof bits); }
  int operator()(int element) const { return static_cast<int>(bits >> element & 1) << 4; }
};

// Rounds half away from zero; |x| below 2^31.
int rounded(float x) {
  const float magnitude = std::fabs(x);
  const int whole = static_cast<int>(magnitude);
  const int up = magnitude - static_cast<float>(whole) >= 0.5f;
  return x < 0 ? -(whole + up) : whole + up;
}

// What elements are multiplied with before they are rounded: 1 / d, before d is rounded to f16. Where that is
// infinite d is 0 in f16, and so is every element.
float inverse(float d) {
  const float inverse = 1 / d;
  return std::isfinite(inverse) ? inverse : 0;
}

struct Q8_0 {
  static constexpr int kElements = kSmall, kBytes = 34;
  static void decode(const uint8_t* from, float* to) {
    const float d = half(from);
    for (int i = 0; i < kSmall; ++i) to[i] = d * static_cast<float>(static_cast<int8_t>(from[2 + i]));
  }
  static bool encode(const float* from, uint8_t* to) {
    float largest = 0;
    for (int i = 0; i < kSmall; ++i) largest = std::max(largest, std::fabs(from[i]));
    const float d = largest / 127, scale = inverse(d);
    put_half(d, to);
    for (int i = 0; i < kSmall; ++i)
      to[2 + i] = static_cast<uint8_t>(static_cast<int8_t>(rounded(from[i] * scale)));
    return is_finite_half(to);
  }
};

struct Q4_0 {
  static constexpr int kElements = kSmall, kBytes = 18;
  static void decode(const uint8_t* from, float* to) {
    const float d = half(from);
    each_nibble(from + 2, to, [d](int n, int) { return d * static_cast<float>(n - 8); });
  }
  static bool encode(const float* from, uint8_t* to) {
    float extreme = from[0];  // the first of the largest magnitude, with its sign
    for (int i = 1; i < kSmall; ++i)
      if (std::fabs(from[i]) > std::fabs(extreme)) extreme = from[i];
    const float d = extreme / -8, scale = inverse(d);
    const auto q = [scale](float x) { return std::min(static_cast<int>(x * scale + 8.5f), 15); };
    put_half(d, to);
    for (int i = 0; i < kSmall / 2; ++i)
      to[2 + i] = static_cast<uint8_t>(q(from[i]) | q(from[i + kSmall / 2]) << 4);
    return is_finite_half(to);
  }
};

struct Q4_1 {
  static constexpr int kElements = kSmall, kBytes = 20;
  static void decode(const uint8_t* from, float* to) {
    const float d = half(from), m = half(from + 2);
    each_nibble(from + 4, to, [d, m](int n, int) { return d * static_cast<float>(n) + m; });
  }
};

struct Q5_0 {
  static constexpr int kElements = kSmall, kBytes = 22;
  static void decode(const uint8_t* from, float* to) {
    const float d = half(from);
    const FifthBits fifth(from + 2);
    each_nibble(from + 6, to, [&](int n, int i) { return d * static_cast<float>((n | fifth(i)) - 16); });
  }
};

struct Q5_1 {
  static constexpr int kElements = kSmall, kBytes = 24;
  static void decode(const uint8_t* from, float* to) {
    const float d = half(from), m = half(from + 2);
    const FifthBits fifth(from + 4);
    each_nibble(from + 8, to, [&](int n, int i) { return d * static_cast<float>(n | fifth(i)) + m; });
  }
};

// The 256 elements of a large block are 8 groups of 32. Of Q2_K, Q3_K and Q6_K every half of a group has a
// scale, and four groups share bytes.
constexpr int kHalf = 16, kHalves = kLarge / kHalf;

struct Q2_K {
  static constexpr int kElements = kLarge, kBytes = 84;
  static void decode(const uint8_t* from, float* to) {
    const float d = half(from + 80), dmin = half(from + 82);
    for (int h = 0; h < kHalves; ++h, to += kHalf) {
      const int group = h / 2, shift = 2 * (group % 4);
      const uint8_t* bits = from + 16 + 32 * (group / 4) + h % 2 * kHalf;
      const float scale = d * static_cast<float>(low(from[h])),
                  min = dmin * static_cast<float>(high(from[h]));
      for (int i = 0; i < kHalf; ++i) to[i] = scale * static_cast<float>(bits[i] >> shift & 3) - min;
    }
  }
};

struct Q3_K {
  static constexpr int kElements = kLarge, kBytes = 110;
  static void decode(const uint8_t* from, float* to) {
    const uint8_t* packed = from + 96;  // scales of six bits: four and two
    const float d = half(from + 108);
    for (int h = 0; h < kHalves; ++h, to += kHalf) {
      const int group = h / 2, shift = 2 * (group % 4);
      const uint8_t *bits = from + 32 + 32 * (group / 4) + h % 2 * kHalf, *mask = from + h % 2 * kHalf;
      const int four = h < 8 ? low(packed[h]) : high(packed[h - 8]);
      const int two = packed[8 + h % 4] >> 2 * (h / 4) & 3;
      const float scale = d * static_cast<float>((four | two << 4) - 32);
      for (int i = 0; i < kHalf; ++i)  // the third bit counts where it is not set
        to[i] = scale * static_cast<float>((bits[i] >> shift & 3) - 4 + (mask[i] >> group & 1) * 4);
    }
  }
};

// Of Q4_K and Q5_K every group has a scale and a minimum of six bits, in 12 bytes.
struct ScaleMin {
  float scale, min;
};
ScaleMin scale_min(const uint8_t* s, int group, float d, float dmin) {
  const int j = group;
  const int scale = j < 4 ? s[j] & 63 : low(s[j + 4]) | s[j - 4] >> 6 << 4;
  const int min = j < 4 ? s[j + 4] & 63 : high(s[j + 4]) | s[j] >> 6 << 4;
  return {d * static_cast<float>(scale), dmin * static_cast<float>(min)};
}

struct Q4_K {
  static constexpr int kElements = kLarge, kBytes = 144;
  static void decode(const uint8_t* from, float* to) {
    const float d = half(from), dmin = half(from + 2);
    for (int group = 0; group < 8; ++group, to += 32) {
      const auto [scale, min] = scale_min(from + 4, group, d, dmin);
      const uint8_t* nibbles = from + 16 + 32 * (group / 2);
      const int shift = group % 2 * 4;
      for (int i = 0; i < 32; ++i) to[i] = scale * static_cast<float>(nibbles[i] >> shift & 15) - min;
    }
  }
};

struct Q5_K {
  static constexpr int kElements = kLarge, kBytes = 176;
  static void decode(const uint8_t* from, float* to) {
    const float d = half(from), dmin = half(from + 2);
    const uint8_t* fifth = from + 16;
    for (int group = 0; group < 8; ++group, to += 32) {
      const auto [scale, min] = scale_min(from + 4, group, d, dmin);
      const uint8_t* nibbles = from + 48 + 32 * (group / 2);
      const int shift = group % 2 * 4;
      for (int i = 0; i < 32; ++i) {
        const int n = (nibbles[i] >> shift & 15) + (fifth[i] >> group & 1) * 16;
        to[i] = scale * static_cast<float>(n) - min;
      }
    }
  }
};

struct Q6_K {
  static constexpr int kElements = kLarge, kBytes = 210;
  static void decode(const uint8_t* from, float* to) {
    const float d = half(from + 208);
    for (int h = 0; h < kHalves; ++h, to += kHalf) {
      const int k = h / 2 % 4, part = h / 8;
      const uint8_t *nibbles = from + 64 * part + 32 * (k % 2) + h % 2 * kHalf,
                    *bits = from + 128 + 32 * part + h % 2 * kHalf;
      const int shift = k / 2 * 4;
      const float scale = d * static_cast<float>(static_cast<int8_t>(from[192 + h]));
      for (int i = 0; i < kHalf; ++i) {
        const int n = (nibbles[i] >> shift & 15) + (bits[i] >> 2 * k & 3) * 16;
        to[i] = scale * static_cast<float>(n - 32);
      }
    }
  }
};

constexpr float f8_e5m2(uint8_t bits) { return to_float(float16{static_cast<uint16_t>(bits << 8)}); }

// Four bits of exponent, biased by 7 and not 15, so a half with these bits is 2^8 times smaller. No infinity:
// the largest number takes its place.
constexpr float f8_e4m3(uint8_t bits) {
  if ((bits & 0x7f) == 0x7f) return std::numeric_limits<float>::quiet_NaN();
  return to_float(float16{static_cast<uint16_t>((bits & 0x80) << 8 | (bits & 0x7f) << 7)}) * 256;
}

constexpr float i8(uint8_t bits) { return static_cast<float>(static_cast<int8_t>(bits)); }

template <float (*value)(uint8_t)>
void decode_bytes(const std::byte* from, int64_t count, float* to) {
  static constexpr auto kTable = [] {
    std::array<float, 256> table{};
    for (size_t i = 0; i < table.size(); ++i) table[i] = value(static_cast<uint8_t>(i));
    return table;
  }();
  for (int64_t i = 0; i < count; ++i) to[i] = kTable[static_cast<uint8_t>(from[i])];
}

template <class Block>
void decode_blocks(const std::byte* from, int64_t blocks, float* to) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(from);
  for (int64_t i = 0; i < blocks; ++i) Block::decode(bytes + i * Block::kBytes, to + i * Block::kElements);
}

template <class Block>
int64_t encode_blocks(const float* from, int64_t blocks, std::byte* to) {
  auto* bytes = reinterpret_cast<uint8_t*>(to);
  int64_t too_large = 0;
  for (int64_t i = 0; i < blocks; ++i)
    too_large += !Block::encode(from + i * Block::kElements, bytes + i * Block::kBytes);
  return too_large;
}

template <class Block>
constexpr BlockType read_only(std::string_view name) {
  return {name, Block::kElements, Block::kBytes, decode_blocks<Block>, nullptr};
}
template <class Block>
constexpr BlockType written(std::string_view name) {
  return {name, Block::kElements, Block::kBytes, decode_blocks<Block>, encode_blocks<Block>};
}

constexpr BlockType kBlockTypes[] = {
    written<Q8_0>("Q8_0"),
    written<Q4_0>("Q4_0"),
    read_only<Q4_1>("Q4_1"),
    read_only<Q5_0>("Q5_0"),
    read_only<Q5_1>("Q5_1"),
    read_only<Q2_K>("Q2_K"),
    read_only<Q3_K>("Q3_K"),
    read_only<Q4_K>("Q4_K"),
    read_only<Q5_K>("Q5_K"),
    read_only<Q6_K>("Q6_K"),
    {"F8_E4M3", 1, 1, decode_bytes<f8_e4m3>, nullptr},
    {"F8_E5M2", 1, 1, decode_bytes<f8_e5m2>, nullptr},
    {"I8", 1, 1, decode_bytes<i8>, nullptr},
};

}  // namespace

const BlockType* find_block_type(std::string_view name) {
  const auto* found = std::ranges::find(kBlockTypes, name, &BlockType::name);
  return found == std::end(kBlockTypes) ? nullptr : found;
}

}  // namespace tstitch
