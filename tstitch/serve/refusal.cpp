#include "tstitch/serve/refusal.h"

#include "tstitch/engine/field_values.h"
#include "tstitch/engine/fields.h"

namespace tstitch::serve {
namespace {

// The name of the field with that option, or "".
std::string field_of(const std::string& option) {
  for (const Field& field : fields())
    for (const std::string& flag : split(std::string(field.flags)))
      if (flag == option) return std::string(field.name);
  return "";
}

}  // namespace

std::string in_fields(const std::string& message, std::string& first) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789-";
  std::string text;
  for (size_t i = 0; i < message.size();) {
    const size_t end = std::min(message.find_first_not_of(kLetters, i), message.size());
    const std::string word = message.substr(i, end - i);
    const std::string name = word.starts_with("--") ? field_of(word) : "";
    if (first.empty()) first = name;
    text += name.empty() ? word : name;
    i = end;
    if (i < message.size()) text += message[i++];
  }
  return text;
}

Refusal refusal_of(const Error& error) {
  std::string param;
  const std::string message = in_fields(error.what(), param);
  switch (error.kind()) {
    case ErrorKind::usage:
      return {422, "invalid_value", message, param};
    case ErrorKind::input:
      return {422, "invalid_input", message, param};
    case ErrorKind::device:
      return {503, "out_of_resources", message, "", 10};
    case ErrorKind::internal:
      break;
  }
  return {500, "internal", "an internal error: the server's log says more"};
}

}  // namespace tstitch::serve
