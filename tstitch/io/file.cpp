#include "tstitch/io/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "tstitch/io/refuse.h"

namespace tstitch {
namespace {

[[noreturn]] void fail_to_open(const std::string& path, int error) {
  const std::string reason = std::generic_category().message(error);
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      refuse(path, "IO_NOT_FOUND", "no such file");
    case EACCES:
    case EPERM:
      refuse(path, "IO_PERMISSION", "not readable: ", reason);
    case ENXIO:  // a socket
    case ENODEV:
      refuse(path, "IO_KIND", "not a regular file");
    case ENOMEM:
      fail(ErrorKind::device, shown_path(path), ": [RES_HOST_MEM] cannot be mapped: ", reason);
    case EMFILE:
    case ENFILE:
      fail(ErrorKind::device, shown_path(path), ": [IO_OPEN] cannot be opened: ", reason);
    default:
      refuse(path, "IO_OPEN", "cannot be opened: ", reason);
  }
}

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  // A file name with a NUL would open the file of the part before it.
  if (path.find('\0') != std::string::npos) refuse(path, "IO_OPEN", "the path holds a NUL byte");
  do {
    // Without O_NONBLOCK opening a FIFO waits for its writer.
    descriptor_ = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  } while (descriptor_ < 0 && errno == EINTR);
  if (descriptor_ < 0) fail_to_open(path, errno);

  try {
    struct stat status;
    if (fstat(descriptor_, &status) != 0) fail_to_open(path, errno);
    if (!S_ISREG(status.st_mode))
      refuse(path, "IO_KIND", kind_of(status.st_mode), ", expected a regular file");
    if (status.st_size == 0) refuse(path, "FMT_UNKNOWN", "empty: an incomplete download?");
    const auto size = static_cast<size_t>(status.st_size);
    modified_ = status.st_mtim;

    void* address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor_, 0);
    if (address == MAP_FAILED) fail_to_open(path, errno);
    bytes_ = {static_cast<const std::byte*>(address), size};
  } catch (...) {
    close(descriptor_);
    throw;
  }
}

MappedFile::~MappedFile() {
  munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  close(descriptor_);
}

void MappedFile::verify_unchanged() const {
  struct stat status;
  const bool known = fstat(descriptor_, &status) == 0;
  if (known && static_cast<size_t>(status.st_size) != bytes_.size())
    refuse(path_, "IO_CHANGED", "had ", bytes_.size(), " bytes when it was opened, has ", status.st_size,
           " now");
  if (!known || status.st_mtim.tv_sec != modified_.tv_sec || status.st_mtim.tv_nsec != modified_.tv_nsec)
    refuse(path_, "IO_CHANGED", "changed while it was read");
}

void MappedFile::release(std::span<const std::byte> part) const {
  // Whole pages only: those at the ends belong to the neighbours too.
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t begin = (static_cast<size_t>(part.data() - bytes_.data()) + page - 1) / page * page;
  const size_t end = static_cast<size_t>(part.data() + part.size() - bytes_.data()) / page * page;
  if (begin < end) madvise(const_cast<std::byte*>(bytes_.data()) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace tstitch
