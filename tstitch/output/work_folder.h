// The folder in which a piece of work that takes long keeps what is finished, beside what it is to become:
// the parts of an archive, of a folder of pictures, of a sweep.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "tstitch/io/file_lock.h"

namespace tstitch {

// Held open, nobody else joins it or leaves it.
struct WorkFolder {
  // Makes the folder where there is none and takes its lock: `patient` waits for those who hold it for
  // moments. Throws Error{device} when it cannot be made, Error{usage} naming the process that is at work
  // there.
  WorkFolder(const std::string& path, bool patient);

  FileLock lock;
  bool made;  // just now

 private:
  explicit WorkFolder(std::pair<FileLock, bool> open) : lock(std::move(open.first)), made(open.second) {}
};

// Whether the file of this name is the work's.
using IsOfWork = std::function<bool(const std::string& name)>;

// Removes the work's files and the temporary ones of processes that were killed; others are somebody's and
// stay.
void clear_work(const std::string& path, const IsOfWork& is_of_work);
// Removes the lock, and the folder where nothing is in it.
void leave_work(const std::string& path);

}  // namespace tstitch
