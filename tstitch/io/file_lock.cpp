#include "tstitch/io/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/io/atomic_file.h"

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

std::optional<FileLock> FileLock::take(const std::string& path, int operation) {
  while (true) {
    const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor < 0 && errno == EINTR) continue;
    if (descriptor < 0) fail_writing(path, errno);
    FileLock lock(descriptor);
    int error;
    do error = flock(descriptor, operation) == 0 ? 0 : errno;
    while (error == EINTR);
    if (error == EWOULDBLOCK) return std::nullopt;
    if (error != 0) fail_writing(path, error);
    if (!still_named(descriptor, path)) continue;
    write_holder(descriptor);
    return lock;
  }
}

FileLock FileLock::wait(const std::string& path) { return *take(path, LOCK_EX); }
std::optional<FileLock> FileLock::attempt(const std::string& path) { return take(path, LOCK_EX | LOCK_NB); }

FileLock::FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}
FileLock::~FileLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

std::string lock_holder(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  std::getline(file, text);
  return printable(text);
}

}  // namespace tstitch
