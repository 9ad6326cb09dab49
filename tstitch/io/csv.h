#pragma once

#include <string>

namespace tstitch {

// The text as a field of a CSV file: in quotes where it has to be [RFC 4180].
inline std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string field = "\"";
  for (const char c : text) field += c == '"' ? "\"\"" : std::string(1, c);
  return field + "\"";
}

}  // namespace tstitch
