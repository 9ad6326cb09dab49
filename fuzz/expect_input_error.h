#pragma once

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>

#include "tstitch/base/error.h"

namespace tstitch {

inline std::span<const std::byte> as_span(const unsigned char* data, size_t size) {
  return {reinterpret_cast<const std::byte*>(data), size};
}

// Runs `parse` on foreign bytes: it may refuse them with an error of this kind, in one short line that is
// printable. Any other exception, also an internal error, is a finding.
template <class Parse>
void expect_error_of_kind(ErrorKind kind, const Parse& parse) {
  try {
    parse();
  } catch (const Error& error) {
    const std::string_view message = error.what();
    if (error.kind() == kind && message.size() <= 500 && message == printable(error.what(), 500)) return;
    std::fprintf(stderr, "error of kind %d, %zu bytes: %s\n", static_cast<int>(error.kind()), message.size(),
                 error.what());
    abort();
  }
}

template <class Parse>
void expect_input_error(const Parse& parse) {
  expect_error_of_kind(ErrorKind::input, parse);
}

}  // namespace tstitch
