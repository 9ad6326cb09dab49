#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "tstitch/io/file.h"
#include "tstitch/io/zip.h"

namespace tstitch {

// The content of an entry front to back, inflated when it is deflated, in memory that does not depend on its
// size. Throws Error{input}: ZIP_DEFLATE for bad data or another size than the archive says, ZIP_CRC, and
// when the file has changed since it was opened.
class ZipStream {
 public:
  // file: whose bytes the entry lies in. where: for messages.
  ZipStream(std::shared_ptr<const MappedFile> file, const ZipEntry& entry, std::string where);
  ~ZipStream();
  ZipStream(ZipStream&&) noexcept;

  uint64_t left() const { return left_; }  // bytes of the content
  // The next to.size() bytes, at most left(). After the last one the checksum is compared.
  void read(std::span<std::byte> to);

 private:
  struct Inflater;
  void take(std::span<std::byte> to);
  void inflate(std::span<std::byte> to);

  std::shared_ptr<const MappedFile> file_;
  ZipEntry entry_;
  std::string where_;
  size_t taken_ = 0;  // of entry_.bytes
  uint64_t left_;
  uint32_t crc_ = 0;
  std::unique_ptr<Inflater> inflater_;  // null when stored
};

}  // namespace tstitch
