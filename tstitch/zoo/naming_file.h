#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/io/refuse.h"

namespace tstitch {

// Whether a message begins as those of refuse(): with the file that is meant, and a code.
inline bool is_of_a_file(std::string_view message) {
  const size_t code = message.find(": [");
  return code != message.npos && code + 3 < message.size() && 'A' <= message[code + 3] &&
         message[code + 3] <= 'Z';
}

// What `work` returns. An Error{input} whose message says no file is thrown again with this path before:
// networks and their names know tensors, not files.
template <class Work>
auto naming_file(const std::string& path, Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (const Error& e) {
    const std::string message = e.what(), shown = shown_path(path);
    const bool named =
        is_of_a_file(message) || message.find(shown) != message.npos || message.find(path) != message.npos;
    if (named || e.kind() != ErrorKind::input) throw;
    fail(e.kind(), shown, ": ", message);
  }
}

}  // namespace tstitch
