#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace tstitch {

// Who has to act on an error. Programs map it to exit codes (apps/exit_code.h), servers to statuses.
enum class ErrorKind {
  internal,  // a bug in tstitch
  usage,     // an option or argument is wrong
  input,     // a file or its content is refused
  device,    // memory, disk or accelerator failed
};

// The only exception the library throws on purpose. The message is one line and says what was
// found, what was expected, and which option, file, key or tensor is meant.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

// The arguments written one after the other, as `<<` writes them.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

template <class... Parts>
[[noreturn]] void fail(ErrorKind kind, const Parts&... parts) {
  throw Error(kind, concat(parts...));
}

// Throws Error{kind} with the concatenated parts unless `condition` holds.
template <class... Parts>
void check(bool condition, ErrorKind kind, const Parts&... parts) {
  if (!condition) fail(kind, parts...);
}

// For conditions that only a bug can break; stays active in release builds.
template <class... Parts>
void check_internal(bool condition, const Parts&... parts) {
  if (!condition) fail(ErrorKind::internal, "internal error: ", parts...);
}

// `text` fit for one line of a message, as UTF-8: control characters, what turns the direction of a text, and
// bytes that are no UTF-8 escaped as \xNN, cut after `limit` bytes and the character they end in. Names that
// come from foreign files go through it.
std::string printable(const std::string& text, size_t limit = 120);

}  // namespace tstitch
