#include "tstitch/io/file_identity.h"

#include <sys/stat.h>

#include <filesystem>

#include "tstitch/base/error.h"
#include "tstitch/io/atomic_file.h"
#include "tstitch/io/file.h"

namespace tstitch {

std::optional<FileIdentity> identify(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) == 0) return FileIdentity{status.st_dev, status.st_ino, ""};
  const std::filesystem::path target = behind_links(path);
  if (stat(parent_folder(target.string()).c_str(), &status) != 0) return std::nullopt;
  return FileIdentity{status.st_dev, status.st_ino, target.filename().string()};
}

}  // namespace tstitch
