#include "tstitch/io/refuse.h"

namespace tstitch {

std::string shown_path(const std::string& path) {
  constexpr size_t kLimit = 160;
  if (path.size() <= kLimit) return printable(path, 4 * kLimit);
  size_t start = path.size() - kLimit;
  for (int i = 0; i < 3 && (path[start] & 0xc0) == 0x80; ++i) ++start;  // not amid a character
  return "..." + printable(path.substr(start), 4 * kLimit);
}

}  // namespace tstitch
