#include "tstitch/io/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "tstitch/base/crc32.h"
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

// Descriptor of what can be read without waiting; without O_NONBLOCK opening a FIFO waits for its writer.
int open_to_read(const std::string& path) {
  int descriptor;
  do descriptor = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  while (descriptor < 0 && errno == EINTR);
  return descriptor;
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
  descriptor_ = open_to_read(path);
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
    guard_.emplace(bytes_);
  } catch (...) {
    close(descriptor_);
    throw;
  }
}

MappedFile::~MappedFile() {
  guard_.reset();
  munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  close(descriptor_);
}

void MappedFile::verify_unchanged() const {
  struct stat status;
  const bool known = fstat(descriptor_, &status) == 0;
  if (known && static_cast<size_t>(status.st_size) != bytes_.size())
    refuse(path_, "IO_CHANGED", "had ", bytes_.size(), " bytes when it was opened, has ", status.st_size,
           " now");
  if (!known || guard_->torn() || status.st_mtim.tv_sec != modified_.tv_sec ||
      status.st_mtim.tv_nsec != modified_.tv_nsec)
    refuse(path_, "IO_CHANGED", "changed while it was read, or cannot be read");
}

void MappedFile::release(std::span<const std::byte> part) const {
  // Whole pages only: those at the ends belong to the neighbours too.
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t begin = (static_cast<size_t>(part.data() - bytes_.data()) + page - 1) / page * page;
  const size_t end = static_cast<size_t>(part.data() + part.size() - bytes_.data()) / page * page;
  if (begin < end) madvise(const_cast<std::byte*>(bytes_.data()) + begin, end - begin, MADV_DONTNEED);
}

uint32_t crc32_of_file(const std::string& path, uint32_t crc, const std::function<void()>& between) {
  constexpr size_t kPart = size_t{64} << 20;
  return MappedFile(path).parsed([&](std::span<const std::byte> bytes) {
    for (uint32_t so_far = crc;; bytes = bytes.subspan(kPart)) {
      between();
      so_far = crc32(bytes.first(std::min(kPart, bytes.size())), so_far);
      if (bytes.size() <= kPart) return so_far;
    }
  });
}

std::string read_part(const std::string& path, int64_t offset, size_t most) {
  std::string part;
  const int descriptor = open_to_read(path);
  if (descriptor < 0) return part;
  struct stat status;
  if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode)) {
    const int64_t from = offset < 0 ? status.st_size + offset : offset;
    part.resize(most);
    size_t done = 0;
    for (ssize_t got = 1; got != 0 && done < most && from >= 0;) {
      got = pread(descriptor, part.data() + done, most - done, from + static_cast<int64_t>(done));
      if (got < 0 && errno != EINTR) break;
      done += static_cast<size_t>(std::max<ssize_t>(got, 0));
    }
    part.resize(done);
  }
  close(descriptor);
  return part;
}

std::vector<std::string> list_folder(const std::string& folder) {
  namespace fs = std::filesystem;
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error))
    paths.push_back(entry->path().string());
  if (error) fail_to_open(folder, error.value());
  std::ranges::sort(paths);
  return paths;
}

std::string parent_folder(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

}  // namespace tstitch
