#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tstitch {

// CRC-32 as zip, gzip and PNG use it (ITU-T V.42: polynomial 0x04C11DB7, reflected, inverted at both ends).
// Continues from `crc` of the bytes before. At the speed of memory where the processor multiplies without
// carry, so that the records of a checkpoint can be checked each time they are loaded.
uint32_t crc32(std::span<const std::byte> bytes, uint32_t crc = 0);

}  // namespace tstitch
