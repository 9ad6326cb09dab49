#include "tstitch/engine/checkpoint_folder.h"

#include <algorithm>

#include "tstitch/base/error.h"

namespace tstitch {

namespace fs = std::filesystem;

bool is_checkpoint(const fs::path& path) {
  return std::ranges::count(kCheckpointEndings, path.extension().string()) > 0;
}

std::map<std::string, std::vector<std::string>> checkpoints_below(const std::string& option,
                                                                  const std::string& folder) {
  std::map<std::string, std::vector<std::string>> found;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const fs::path& path = at->path();
    if (is_checkpoint(path)) found[path.stem().string()].push_back(path.string());
  }
  check(!error, ErrorKind::input, option, " \"", printable(folder), "\" cannot be read: ", error.message());
  for (auto& [name, paths] : found) std::ranges::sort(paths);
  return found;
}

}  // namespace tstitch
