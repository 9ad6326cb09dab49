#pragma once

#include <string>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/io/refuse.h"

namespace tstitch {

// What `work` returns. An Error{input} whose message does not say the path is thrown again with it before:
// networks and their names know tensors, not files.
template <class Work>
auto naming_file(const std::string& path, Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (const Error& e) {
    const std::string message = e.what(), shown = shown_path(path);
    const bool named = message.find(shown) != message.npos || message.find(path) != message.npos;
    if (named || e.kind() != ErrorKind::input) throw;
    fail(e.kind(), shown, ": ", message);
  }
}

}  // namespace tstitch
