#pragma once

#include <cstddef>
#include <cstdint>

namespace tstitch {

// FNV-1a, 64 bits (Fowler, Noll, Vo): names of random streams, fingerprints of outputs.
inline uint64_t fnv1a(const void* data, size_t size, uint64_t hash = 0xcbf29ce484222325u) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3u;
  return hash;
}

}  // namespace tstitch
