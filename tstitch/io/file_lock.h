#pragma once

#include <optional>
#include <string>

namespace tstitch {

// A lock between processes, by a file that is locked while its holder lives (flock): nothing is left of it
// after kill -9. The file stays, with who held it last.
class FileLock {
 public:
  // Waits until the lock is free, at most so long: then Error{device} [IO_LOCKED] that names the holder.
  static FileLock wait(const std::string& path, double seconds = 10);
  // Nothing when another process holds it.
  static std::optional<FileLock> attempt(const std::string& path);

  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}

  int descriptor_;
};

// "process 1234 on node7", as the last holder wrote it.
std::string lock_holder(const std::string& path);

}  // namespace tstitch
