#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "tstitch/io/zip_writer.h"

namespace tstitch {

// Arrays in NumPy's .npz format: a zip archive of .npy files, stored. Written front to back, so that memory
// does not depend on their size; numpy.load maps names to arrays.
class NpzWriter {
 public:
  // As ZipWriter.
  explicit NpzWriter(AtomicFile& file, uint64_t zip64_from = 0xffffffff) : zip_(file, zip64_from) {}

  // The next array, in C order; its elements follow by write(). descr: NumPy's name of their type and its
  // size in bytes, as "|u1" and 1. extra: as ZipWriter.
  void begin(const std::string& name, std::string_view descr, int64_t element_bytes,
             std::span<const int64_t> shape, const std::string& extra = "");
  void write(std::span<const std::byte> elements) { zip_.write(elements); }
  void finish() { zip_.finish(); }  // after the last array; the caller commits the file

 private:
  ZipWriter zip_;
};

}  // namespace tstitch
