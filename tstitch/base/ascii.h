// The letters of ASCII, whatever the locale; other bytes, as of UTF-8, are left as they are.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace tstitch {

constexpr char ascii_lower(char c) { return 'A' <= c && c <= 'Z' ? static_cast<char>(c + 32) : c; }

inline std::string ascii_lowered(std::string_view text) {
  std::string lowered(text);
  std::ranges::transform(lowered, lowered.begin(), ascii_lower);
  return lowered;
}

}  // namespace tstitch
