// Finished items of a long run on disk, safe against being killed at any moment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "tstitch/base/index_range.h"

namespace tstitch {

// A record file (its name ends in .shard) holds one record after the other: a header of 40 bytes
// (RecordHeader, little-endian) and item_bytes bytes per item. It is written by one process and never changed
// afterwards, so that the only damage of being killed is a torn last record, which length and checksums give
// away.

// What a record file belongs to: those of different runs never mix.
struct RecordedRun {
  uint64_t fingerprint;
  int64_t items;       // of the whole run
  int64_t item_bytes;  // of each
};

class RecordWriter {
 public:
  // Makes the file. Throws Error{device} when it cannot, also when there is one of that name.
  RecordWriter(const std::string& path, const RecordedRun& run);
  ~RecordWriter();
  RecordWriter(const RecordWriter&) = delete;
  RecordWriter& operator=(const RecordWriter&) = delete;

  // Appends a record; items.count * item_bytes bytes. It is on the disk when this returns. Throws
  // Error{device} when it cannot be written; the records before stay.
  void append(IndexRange items, std::span<const std::byte> payload);

 private:
  std::string path_;
  RecordedRun run_;
  int descriptor_;
  int64_t size_ = 0;  // of the whole records
};

// Reads by position, so that memory does not depend on the file's size.
class RecordReader {
 public:
  explicit RecordReader(const std::string& path);  // Error{input} when it cannot be opened
  ~RecordReader();
  RecordReader(const RecordReader&) = delete;
  RecordReader& operator=(const RecordReader&) = delete;

  // False when the file ends before. Error{device} when the disk fails.
  bool read(int64_t offset, std::span<std::byte> to) const;

 private:
  std::string path_;
  int descriptor_;
};

struct Record {
  std::string path;  // of the file
  IndexRange items;
  int64_t offset;  // of the payload in the file
};

// The whole records of a file. Of those with an item in `verify` also the payload's checksum is compared,
// and those that differ are left out. What is torn or damaged is not an error: its items are missing.
// between: called now and then; what it throws ends the work. Throws Error{input} [SHARD_RUN] for the file of
// another run.
std::vector<Record> read_records(
    const std::string& path, const RecordedRun& run, IndexRange verify,
    const std::function<void()>& between = [] {});

}  // namespace tstitch
