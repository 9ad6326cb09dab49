#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "tstitch/base/error.h"
#include "tstitch/io/truncation_guard.h"

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
  // When it had last been changed as it was opened: nanoseconds since 1970.
  int64_t modified() const { return int64_t{modified_.tv_sec} * 1'000'000'000 + modified_.tv_nsec; }

  // Throws Error{input} [IO_CHANGED] when the size or the time of the last change are no longer those of the
  // opening, or zeros have stood for a part that was cut off (survive_truncation). Readers ask when they are
  // done, for what they read may be half of the old file and half of the new one.
  void verify_unchanged() const;

  // What `parse` makes of bytes(). When the file has changed meanwhile that is the error, whatever `parse`
  // found wrong with it.
  template <class Parse>
  auto parsed(const Parse& parse) const {
    try {
      if constexpr (std::is_void_v<decltype(parse(bytes_))>) {
        parse(bytes_);
        verify_unchanged();
      } else {
        auto result = parse(bytes_);
        verify_unchanged();
        return result;
      }
    } catch (const Error&) {
      verify_unchanged();
      throw;
    }
  }

  // Lets go of the memory behind `part` of bytes(), which is not needed soon: a checkpoint read tensor by
  // tensor never lies in memory whole. Reading it again brings it back.
  void release(std::span<const std::byte> part) const;

 private:
  std::string path_;
  int descriptor_;
  timespec modified_{};
  std::span<const std::byte> bytes_;
  std::optional<GuardedMapping> guard_;
};

// The checksum (tstitch/base/crc32.h) of the file's content, behind `crc`. between: called now and then; what
// it throws ends the work.
uint32_t crc32_of_file(const std::string& path, uint32_t crc, const std::function<void()>& between);

// Up to `most` bytes of a regular file from `offset` on, from the end when it is negative. "" where there is
// no such part or no such file, or something else of its name, for which it never waits.
std::string read_part(const std::string& path, int64_t offset, size_t most);

// The paths of what lies in the folder, sorted. Throws Error{input} when it cannot be read.
std::vector<std::string> list_folder(const std::string& folder);

// The folder that a path's last part lies in, "." for a bare name.
std::string parent_folder(const std::string& path);

}  // namespace tstitch
