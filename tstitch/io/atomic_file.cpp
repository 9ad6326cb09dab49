#include "tstitch/io/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "tstitch/io/file.h"
#include "tstitch/io/refuse.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

// Short whatever the file is called, so that a name of 255 bytes works; hidden, so that "*" does not match
// it.
std::string temporary_name(const fs::path& folder) {
  static std::atomic<unsigned> counter = 0;
  return (folder / concat(".tstitch-", getpid(), "-", ++counter, ".tmp")).string();
}

}  // namespace

std::string behind_links(const std::string& path) {
  constexpr int kMostLinks = 40;  // as in Linux
  fs::path target = path;
  std::error_code error;
  for (int links = 0; links < kMostLinks && fs::is_symlink(target, error); ++links)
    target = target.parent_path() / fs::read_symlink(target, error);
  return target.string();
}

namespace {

// What will be written behind the path's links. Throws where that cannot be a regular file.
std::string target_of(const std::string& path) {
  const std::string target = behind_links(path);
  struct stat status;
  const bool exists = stat(target.c_str(), &status) == 0;
  if (!exists && errno != ENOENT) fail_writing(path, errno);
  // Renaming over a device, as in "-o /dev/null" by root, would replace it.
  if (exists && !S_ISREG(status.st_mode))
    fail(ErrorKind::device, shown_path(path), ": [IO_KIND] cannot be written: ",
         S_ISDIR(status.st_mode) ? "a folder" : "something other than a regular file",
         " of that name exists");
  // The folder would let it be replaced all the same; whoever made it read-only meant something by it.
  if (exists && faccessat(AT_FDCWD, target.c_str(), W_OK, AT_EACCESS) != 0) fail_writing(path, errno);
  return target;
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path, const std::string& temporary_folder)
    : path_(path), target_(target_of(path)) {
  do {  // the kernel applies the umask, which mkstemp would not
    temporary_ = temporary_name(temporary_folder.empty() ? fs::path(target_).parent_path()
                                                         : fs::path(temporary_folder));
    descriptor_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && (errno == EINTR || errno == EEXIST));
  if (descriptor_ < 0) fail_writing(path_, errno);
  struct stat before;  // a private file stays private
  if (stat(target_.c_str(), &before) == 0 && fchmod(descriptor_, before.st_mode & 07777) != 0) {
    const int error = errno;
    close(descriptor_);
    unlink(temporary_.c_str());
    fail_writing(path_, error);
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    // At most 1 GiB at once: Linux writes no more than 2^31 bytes in one call.
    const ssize_t written =
        ::write(descriptor_, bytes.data(), std::min<size_t>(bytes.size(), size_t{1} << 30));
    if (written < 0 && errno != EINTR) fail_writing(path_, errno);
    if (written <= 0) continue;
    bytes = bytes.subspan(static_cast<size_t>(written));
    size_ += written;
  }
}

void AtomicFile::write_at(int64_t offset, std::span<const std::byte> bytes) {
  check_internal(offset + std::ssize(bytes) <= size_, "replacing bytes behind the end of a file");
  while (!bytes.empty()) {
    const ssize_t written = pwrite(descriptor_, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno != EINTR) fail_writing(path_, errno);
    if (written <= 0) continue;
    bytes = bytes.subspan(static_cast<size_t>(written));
    offset += written;
  }
}

void AtomicFile::settle() {
  // Without fsync a crash soon after may leave the new name with no content.
  if (fsync(descriptor_) != 0) fail_writing(path_, errno);
  const int closed = close(descriptor_);
  descriptor_ = -1;
  if (closed != 0) fail_writing(path_, errno);
}

void AtomicFile::commit() {
  if (descriptor_ >= 0) settle();
  if (rename(temporary_.c_str(), target_.c_str()) != 0) fail_writing(path_, errno);
  temporary_.clear();
}

void AtomicFiles::add(const std::string& path, std::span<const std::byte> bytes) {
  AtomicFile& file = files_.emplace_back(path);
  file.write(bytes);
  file.settle();
}

void AtomicFiles::add(const std::string& path, const std::string& text) {
  add(path, std::as_bytes(std::span(text)));
}

void AtomicFiles::commit() {
  for (AtomicFile& file : files_) file.commit();
}

void check_writable(const std::string& path) {
  const std::string folder = parent_folder(target_of(path));
  struct stat status;
  if (stat(folder.c_str(), &status) != 0) fail_writing(path, errno);
  if (status.st_nlink == 0) fail_writing(path, ENOENT);  // a working directory that was removed
  const int trial = open(folder.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
  if (trial >= 0) {
    close(trial);
    return;
  }
  const bool unknown = errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL;  // files without a name
  if (!unknown || faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) != 0)
    fail_writing(path, errno);
}

void fail_writing(const std::string& path, int error) {
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  const std::string reason =
      error == ENOENT ? "there is no such folder" : std::generic_category().message(error);
  fail(ErrorKind::device, shown_path(path), ": [", full ? "IO_NO_SPACE" : "IO_WRITE",
       "] cannot be written: ", reason);
}

void sync_folder(const std::string& folder) {
  const int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail_writing(folder, errno);
  const int error = fsync(descriptor) == 0 ? 0 : errno;
  close(descriptor);
  // Some network file systems know no fsync of folders.
  if (error != 0 && error != EINVAL) fail_writing(folder, error);
}

void write_file(const std::string& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file(const std::string& path, const std::string& text) {
  write_file(path, std::as_bytes(std::span(text)));
}

}  // namespace tstitch
