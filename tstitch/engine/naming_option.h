#pragma once

#include <string>
#include <utility>

#include "tstitch/base/error.h"

namespace tstitch {

// What `work` returns. An Error of it, which says the file, is thrown again with `said` before: the option
// that names the file.
template <class Work>
auto naming_option(const std::string& said, Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (const Error& error) {
    throw Error(error.kind(), concat(said, ' ', error.what()));
  }
}

}  // namespace tstitch
