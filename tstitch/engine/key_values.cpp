#include "tstitch/engine/key_values.h"

#include <algorithm>

#include "tstitch/base/numbers.h"

namespace tstitch {

std::string take_value(const std::string& option, const std::string& text, size_t& at) {
  std::string value;
  if (at < text.size() && text[at] == '"') {
    for (++at;; ++at) {
      check(at < text.size(), ErrorKind::usage, option, " \"", printable(text), "\": a quote is not closed");
      if (text[at] == '"' && (++at >= text.size() || text[at] != '"')) break;
      value += text[at];
    }
    check(at >= text.size() || text[at] == ',', ErrorKind::usage, option, " \"", printable(text),
          "\": expected a comma behind a quoted value");
  } else {
    const size_t end = std::min(text.find(',', at), text.size());
    value = text.substr(at, end - at);
    at = end;
  }
  ++at;
  return value;
}

bool skip_spaces(const std::string& text, size_t& at) {
  at = std::min(text.find_first_not_of(' ', at), text.size());
  return at < text.size();
}

std::string quoted_value(const std::string& value) {
  if (value.find_first_of(",\"") == value.npos) return value;
  std::string text = "\"";
  for (const char c : value) text += c == '"' ? std::string("\"\"") : std::string(1, c);
  return text + "\"";
}

std::pair<std::string, std::string> ends_of(const std::string& what, const std::string& text,
                                            std::string_view example) {
  const size_t colon = text.find(':');
  check(colon != text.npos, ErrorKind::usage, what, " is \"", printable(text),
        "\", expected LOW:HIGH, such as ", example);
  return {text.substr(0, colon), text.substr(colon + 1)};
}

std::pair<double, double> read_interval(const std::string& what, const std::string& text) {
  const auto ends = ends_of(what, text, "0.2:0.8");
  const double low = read_share(what, ends.first), high = read_share(what, ends.second);
  check(low < high, ErrorKind::usage, what, " is \"", printable(text), "\", which is no step at all");
  return {low, high};
}

}  // namespace tstitch
