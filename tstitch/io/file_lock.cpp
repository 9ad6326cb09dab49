#include "tstitch/io/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/io/atomic_file.h"
#include "tstitch/io/file.h"

namespace tstitch {
namespace {

// A holder may have removed the file with its folder: then the lock is on a file without a name.
bool still_named(int descriptor, const std::string& path) {
  struct stat open_file, named;
  return fstat(descriptor, &open_file) == 0 && stat(path.c_str(), &named) == 0 &&
         open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

void write_holder(int descriptor) {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  const std::string text = concat("process ", getpid(), " on ", host, "\n");
  // For people only: a full disk does not matter here.
  if (ftruncate(descriptor, 0) == 0) [[maybe_unused]]
    const ssize_t written = pwrite(descriptor, text.data(), text.size(), 0);
}

}  // namespace

FileLock FileLock::wait(const std::string& path, double seconds) {
  constexpr std::chrono::milliseconds kPause(20);
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (true) {
    if (std::optional<FileLock> lock = attempt(path)) return std::move(*lock);
    check(std::chrono::steady_clock::now() < until, ErrorKind::device, "\"", printable(path),
          "\": [IO_LOCKED] held for ", seconds, " s by ", lock_holder(path));
    std::this_thread::sleep_for(kPause);
  }
}

std::optional<FileLock> FileLock::attempt(const std::string& path) {
  while (true) {
    const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    if (descriptor < 0 && errno == EINTR) continue;
    if (descriptor < 0) fail_writing(path, errno);
    FileLock lock(descriptor);
    struct stat status;
    if (fstat(descriptor, &status) == 0 && !S_ISREG(status.st_mode))
      fail(ErrorKind::device, "\"", printable(path), "\": [IO_KIND] not a regular file, cannot be a lock");
    int error;
    do error = flock(descriptor, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    while (error == EINTR);
    if (error == EWOULDBLOCK) return std::nullopt;
    if (error != 0) fail_writing(path, error);
    if (!still_named(descriptor, path)) continue;
    write_holder(descriptor);
    return lock;
  }
}

FileLock::FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}
FileLock::~FileLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

std::string lock_holder(const std::string& path) {
  const std::string text = read_part(path, 0, 256);
  return text.empty() ? "an unknown process" : printable(text.substr(0, text.find('\n')));
}

}  // namespace tstitch
