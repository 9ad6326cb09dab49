// Why a request gets another answer than the one it asked for.
#pragma once

#include <exception>
#include <optional>
#include <string>

#include "tstitch/base/error.h"

namespace tstitch::serve {

struct Refusal final : std::exception {
  int status;           // of HTTP
  std::string code;     // for programs: "queue_full"
  std::string message;  // for people: one sentence
  std::string param;    // the field that is meant, or ""
  int retry_after = 0;  // seconds; 0: again will not help

  Refusal(int s, std::string c, std::string m, std::string p = "", int retry = 0)
      : status(s), code(std::move(c)), message(std::move(m)), param(std::move(p)), retry_after(retry) {}
  const char* what() const noexcept override { return message.c_str(); }
};

template <class... Parts>
[[noreturn]] void refuse_field(const std::string& param, const Parts&... parts) {
  throw Refusal(422, "invalid_value", concat(parts...), param);
}

// An error of the library as an answer: what it says of options of the command line said of fields
// ("--cfg-scale is 0.5" becomes "cfg_scale is 0.5"); of internal errors and of the device's no path.
Refusal refusal_of(const Error& error);

// What `work` returns; an error that it throws as a refusal that names the field.
template <class F>
auto naming_field(const std::string& field, F work) try {
  return work();
} catch (const Error& error) {
  Refusal refusal = refusal_of(error);
  if (refusal.param.empty()) refusal.param = field;
  throw refusal;
}

// The options in a message as the names of their fields; first: the first of them, or "".
std::string in_fields(const std::string& message, std::string& first);

}  // namespace tstitch::serve
