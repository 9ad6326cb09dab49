#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

namespace tstitch {

// FNV-1a, 64 bits (Fowler, Noll, Vo): names of random streams, fingerprints of outputs.
inline uint64_t fnv1a(const void* data, size_t size, uint64_t hash = 0xcbf29ce484222325u) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3u;
  return hash;
}

// 16 hexadecimal digits.
inline std::string hex(uint64_t value) {
  char text[20];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

}  // namespace tstitch
