#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tstitch {

// A file in a zip archive.
struct ZipEntry {
  std::string_view name;
  std::span<const std::byte> bytes;  // in the archive; not read yet
  uint32_t crc32;                    // that the content must have, see base/crc32.h
  uint64_t size;                     // of the content
  bool deflated = false;             // else `bytes` is the content
};

enum class ZipMethods : uint8_t { stored, stored_or_deflated };

// The entries of an archive, in the order of their names. Names, entries and archive share memory.
//
// Our own reader, because the usual libraries answer with a copy of the content, where we want its place in
// the mapped file, and because they believe one of the two places where a zip says everything (the central
// directory or the headers before the content), whereas other tools believe the other: here both must agree,
// and headers and contents must tile the file from its first byte to its last. Nothing can hide between.
//
// Throws Error{input} with a code (robustness table Z1-Z12, listed in tests/hostile/torch) for all else:
// other compression, encryption, several disks, comments, names that are absolute, climb (".."), or differ in
// case only. ZIP64 is read. Limits of our own: 200,000 entries, names of 1024 bytes.
std::vector<ZipEntry> read_zip(std::span<const std::byte> archive, const std::string& where,
                               ZipMethods methods = ZipMethods::stored);

// The entry of that name, or null.
const ZipEntry* find_entry(const std::vector<ZipEntry>& entries, std::string_view name);

}  // namespace tstitch
