#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace tstitch {

// What file a path means, whatever it is called there: "a.png", "./a.png" and a link to it are one.
struct FileIdentity {
  uint64_t device, inode;  // of the file; of its folder while there is no such file
  std::string name;        // in that folder, else ""

  auto operator<=>(const FileIdentity&) const = default;
};

// Symbolic links are followed, also to what does not exist yet. Nothing when there is not even the folder, or
// it cannot be searched.
std::optional<FileIdentity> identify(const std::string& path);

}  // namespace tstitch
