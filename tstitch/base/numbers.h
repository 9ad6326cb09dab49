// Numbers as texts, and what a user writes as numbers.
#pragma once

#include <charconv>
#include <string>
#include <type_traits>

#include "tstitch/base/error.h"

namespace tstitch {

template <class Value>
concept Number = std::is_arithmetic_v<Value>;

// The shortest text that reads back as the same number: "0.1", "2", "1e-07".
inline std::string number_text(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

// The whole of `text` as a number. what: the option, for messages. Throws Error{usage}.
template <Number Value>
Value read_number(const std::string& what, const std::string& text) {
  Value value{};
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  check(error == std::errc() && end == last, ErrorKind::usage, what, " is \"", printable(text),
        "\", expected a ", std::is_floating_point_v<Value> ? "" : "whole ", "number");
  return value;
}

// "0.4" or "40%".
inline double read_fraction(const std::string& what, const std::string& text) {
  const bool percent = text.ends_with('%');
  return read_number<double>(what, text.substr(0, text.size() - percent)) / (percent ? 100 : 1);
}

// The same, 0 ... 1.
inline double read_share(const std::string& what, const std::string& text) {
  const double share = read_fraction(what, text);
  check(0 <= share && share <= 1, ErrorKind::usage, what, " is ", printable(text), ", expected 0 ... 1");
  return share;
}

}  // namespace tstitch
