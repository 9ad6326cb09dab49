// Makes the checksums of a changed archive right again: else nearly every input would end at the first one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "fuzz/expect_input_error.h"
#include "tstitch/base/crc32.h"

namespace tstitch {

// Writes the CRC-32 of each entry's bytes into its headers, where the central directory and the local headers
// lie where they say.
inline void repair_checksums(uint8_t* data, size_t size) {
  const auto get16 = [&](size_t at) { return static_cast<size_t>(data[at] | data[at + 1] << 8); };
  const auto get32 = [&](size_t at) { return get16(at) | get16(at + 2) << 16; };
  for (size_t at = 0; at + 46 <= size; ++at) {
    if (std::memcmp(data + at, "PK\1\2", 4) != 0) continue;
    const size_t content_size = get32(at + 24), local = get32(at + 42);
    if (local > size || size - local < 30 || std::memcmp(data + local, "PK\3\4", 4) != 0) continue;
    const size_t content = local + 30 + get16(local + 26) + get16(local + 28);
    if (content > size || content_size > size - content) continue;
    const uint32_t crc = crc32(as_span(data + content, content_size));
    std::memcpy(data + at + 16, &crc, sizeof crc);
    if (get32(local + 14)) std::memcpy(data + local + 14, &crc, sizeof crc);
    const size_t descriptor = content + content_size;
    if ((data[local + 6] & 8) && size - descriptor >= 8) std::memcpy(data + descriptor + 4, &crc, sizeof crc);
  }
}

}  // namespace tstitch
