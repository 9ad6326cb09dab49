#pragma once

#include <cstddef>
#include <ctime>
#include <span>
#include <string>

namespace tstitch {

// A regular file that someone else wrote, mapped read-only into memory.
class MappedFile {
 public:
  // Throws Error{input} for what is missing, not readable, empty, or no regular file (folders, FIFOs,
  // devices; it never waits for one), Error{device} when the process has no memory or file descriptor left
  // for it. Symbolic links are followed.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return bytes_; }

  // Throws Error{input} when the size or the time of the last change are no longer those of the opening.
  // Reading a page that another process has cut off raises SIGBUS, so readers ask before and after.
  void verify_unchanged() const;

  // Lets go of the memory behind `part` of bytes(), which is not needed soon: a checkpoint read tensor by
  // tensor never lies in memory whole. Reading it again brings it back.
  void release(std::span<const std::byte> part) const;

 private:
  std::string path_;
  int descriptor_;
  timespec modified_{};
  std::span<const std::byte> bytes_;
};

}  // namespace tstitch
