#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "tstitch/io/atomic_file.h"

namespace tstitch {

// A zip archive of stored entries, written front to back; what ZIP64 needs only where a size or an offset
// asks for it. The same entries give the same bytes: every date is the format's first, 1 January 1980.
class ZipWriter {
 public:
  // Appends to an empty file, which the caller commits after finish(). zip64_from: the number from which
  // ZIP64 fields are written; only tests have a reason for less.
  explicit ZipWriter(AtomicFile& file, uint64_t zip64_from = 0xffffffff)
      : file_(file), zip64_from_(zip64_from) {}

  // The next entry: size bytes follow by write(). extra: fields of its headers that readers skip, each with
  // its own identifier and length [APPNOTE 4.5].
  void begin(const std::string& name, uint64_t size, const std::string& extra = "");
  void write(std::span<const std::byte> bytes);
  void finish();  // after the last entry

 private:
  uint32_t narrow(uint64_t value) const {
    return value < zip64_from_ ? static_cast<uint32_t>(value) : 0xffffffff;
  }
  bool wide(uint64_t value) const { return value >= zip64_from_; }
  void end_entry();

  AtomicFile& file_;
  uint64_t zip64_from_;
  std::string directory_;  // the central one so far
  uint64_t entries_ = 0;

  // The open entry.
  bool open_ = false;
  std::string name_, extra_;
  uint64_t offset_ = 0, size_ = 0, left_ = 0;
  uint32_t crc_ = 0;
};

}  // namespace tstitch
