#pragma once

#include <string>

#include "tstitch/base/error.h"

namespace tstitch {

// A path as messages show it: one line, and of a long one the end, which names the file.
std::string shown_path(const std::string& path);

// Throws Error{input} "where: [CODE] parts". The codes are stable, tests and scripts may match on them;
// `where` is the path of the file, or what else the bytes came from.
template <class... Parts>
[[noreturn]] void refuse(const std::string& where, const char* code, const Parts&... parts) {
  fail(ErrorKind::input, shown_path(where), ": [", code, "] ", parts...);
}

}  // namespace tstitch
