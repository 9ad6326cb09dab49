#include "tstitch/output/work_folder.h"

#include <cerrno>
#include <filesystem>
#include <optional>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/io/atomic_file.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLock = "lock";

std::string lock_of(const std::string& path) { return (fs::path(path) / kLock).string(); }

bool make_folder(const std::string& path) {
  std::error_code error;
  const bool made = fs::create_directory(path, error);
  if (error) fail_writing(path, error.value());
  return made;
}

FileLock take_lock(const std::string& path, bool patient) {
  if (patient) return FileLock::wait(lock_of(path));
  auto lock = FileLock::attempt(lock_of(path));
  check(lock.has_value(), ErrorKind::usage, "\"", printable(path), "\": another process is at work there (",
        lock_holder(lock_of(path)), ")");
  return std::move(*lock);
}

// A process that finished the work may remove the folder between the two.
std::pair<FileLock, bool> open_folder(const std::string& path, bool patient) {
  constexpr int kTries = 10;
  for (int tries = 0;; ++tries) {
    const bool made = make_folder(path);
    try {
      return {take_lock(path, patient), made};
    } catch (const Error&) {
      std::error_code ignored;
      if (made)
        fs::remove(path, ignored);  // where another has not put its lock meanwhile
      else if (!fs::exists(path, ignored) && tries < kTries)
        continue;
      throw;
    }
  }
}

// Of an AtomicFile.
bool is_temporary(const std::string& name) { return name.starts_with(".tstitch-") && name.ends_with(".tmp"); }

}  // namespace

WorkFolder::WorkFolder(const std::string& path, bool patient) : WorkFolder(open_folder(path, patient)) {}

void clear_work(const std::string& path, const IsOfWork& is_of_work) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(path, ignored)) {
    const std::string name = entry.path().filename().string();
    if (is_temporary(name) || is_of_work(name)) fs::remove(entry.path(), ignored);
  }
}

void leave_work(const std::string& path) {
  std::error_code ignored;
  fs::remove(lock_of(path), ignored);
  fs::remove(path, ignored);
}

}  // namespace tstitch
