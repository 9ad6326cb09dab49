#include "tstitch/io/refuse.h"

namespace tstitch {

std::string shown_path(const std::string& path) {
  constexpr size_t kLimit = 160;
  if (path.size() <= kLimit) return printable(path, 4 * kLimit);
  return "..." + printable(path.substr(path.size() - kLimit), 4 * kLimit);
}

}  // namespace tstitch
