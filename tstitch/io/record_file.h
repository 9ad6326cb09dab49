// Finished items of a long run on disk, safe against being killed at any moment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tstitch/base/index_range.h"

namespace tstitch {

// A shard is a file of records, one after the other: a header of 40 bytes (ShardHeader, little-endian) and
// item_bytes bytes per item. It is written by one process and never changed afterwards, so that the only
// damage of being killed is a torn last record, which length and checksums give away.

// What a shard belongs to: shards of different runs never mix.
struct ShardRun {
  uint64_t fingerprint;
  int64_t items;       // of the whole run
  int64_t item_bytes;  // of each
};

class ShardWriter {
 public:
  // Makes the file. Throws Error{device} when it cannot, also when there is one of that name.
  ShardWriter(const std::string& path, const ShardRun& run);
  ~ShardWriter();
  ShardWriter(const ShardWriter&) = delete;
  ShardWriter& operator=(const ShardWriter&) = delete;

  // Appends a record; items.count * item_bytes bytes. It is on the disk when this returns. Throws
  // Error{device} when it cannot be written; the records before stay.
  void append(IndexRange items, std::span<const std::byte> payload);

 private:
  std::string path_;
  ShardRun run_;
  int descriptor_;
  int64_t size_ = 0;  // of the whole records
};

// Reads by position, so that memory does not depend on the file's size.
class ShardReader {
 public:
  explicit ShardReader(const std::string& path);  // Error{input} when it cannot be opened
  ~ShardReader();
  ShardReader(const ShardReader&) = delete;
  ShardReader& operator=(const ShardReader&) = delete;

  // False when the file ends before. Error{device} when the disk fails.
  bool read(int64_t offset, std::span<std::byte> to) const;

 private:
  std::string path_;
  int descriptor_;
};

struct ShardRecord {
  std::string path;  // of the shard
  IndexRange items;
  int64_t offset;  // of the payload in the file
};

// The whole records of a shard. Of those with an item in `verify` also the payload's checksum is compared,
// and those that differ are left out. What is torn or damaged is not an error: its items are missing.
// Throws Error{input} [SHARD_RUN] for the shard of another run.
std::vector<ShardRecord> read_shard(const std::string& path, const ShardRun& run, IndexRange verify);

}  // namespace tstitch
