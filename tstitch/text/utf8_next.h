#pragma once

#include <unicode/utf8.h>

#include <string_view>

namespace tstitch {

// The character at `at` of UTF-8, negative when it is malformed; moves `at` behind it.
inline UChar32 utf8_next(std::string_view text, size_t& at) {
  UChar32 c;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"  // inside ICU's macro
  U8_NEXT(text, at, text.size(), c);
#pragma GCC diagnostic pop
  return c;
}

}  // namespace tstitch
