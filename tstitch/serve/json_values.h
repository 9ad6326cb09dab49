// Values of requests in JSON, of the types they must have.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "tstitch/serve/refusal.h"

namespace tstitch::serve {

// As a message shows it.
inline std::string shown(const nlohmann::json& value) {
  return printable(value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace), 80);
}

[[noreturn]] inline void refuse_value(const std::string& field, const nlohmann::json& value,
                                      const std::string& expected) {
  refuse_field(field, "\"", printable(field), "\" is ", shown(value), ", expected ", expected);
}

// Throw Refusal{422} that names the field.
inline std::string text_in(const nlohmann::json& value, const std::string& field) {
  if (!value.is_string()) refuse_value(field, value, "a text");
  return value;
}
inline double number_in(const nlohmann::json& value, const std::string& field) {
  if (!value.is_number()) refuse_value(field, value, "a number");
  return value;
}
inline int64_t whole_in(const nlohmann::json& value, const std::string& field) {
  const double number = number_in(value, field);
  if (number != std::floor(number) || std::abs(number) > 0x1p53) refuse_value(field, value, "a whole number");
  return static_cast<int64_t>(number);
}
// Also as forms and older clients have it: "true", 1.
inline bool truth_in(const nlohmann::json& value, const std::string& field) {
  if (value == true || value == 1 || value == "true" || value == "True") return true;
  if (value == false || value == 0 || value == "false" || value == "False") return false;
  refuse_value(field, value, "true or false");
}

// Fields that say nothing where they hold one of these values; "*": any.
using NeutralValues = std::map<std::string_view, nlohmann::json>;

// Whether the field is one of these. Throws Refusal{422} where its value is not.
inline bool is_neutral(const NeutralValues& neutral, const std::string& field, const nlohmann::json& value) {
  const auto found = neutral.find(field);
  if (found == neutral.end()) return false;
  const nlohmann::json& values = found->second;
  std::string expected;
  for (const nlohmann::json& one : values.is_array() ? values : nlohmann::json::array({value})) {
    if (one == value) return true;
    if (!one.is_null()) expected += (expected.empty() ? "" : " or ") + one.dump();
  }
  refuse_field(field, "\"", field, "\" is not honoured by this server", expected.empty() ? "" : " but as ",
               expected);
}

}  // namespace tstitch::serve
