#include "tstitch/engine/key_values.h"

#include <algorithm>

#include "tstitch/base/error.h"
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

std::string quoted_value(const std::string& value) {
  if (value.find_first_of(",\"") == value.npos) return value;
  std::string text = "\"";
  for (const char c : value) text += c == '"' ? std::string("\"\"") : std::string(1, c);
  return text + "\"";
}

std::pair<double, double> read_interval(const std::string& what, const std::string& text) {
  const size_t colon = std::min(text.find(':'), text.size());
  check(colon < text.size(), ErrorKind::usage, what, " is \"", printable(text),
        "\", expected LOW:HIGH, such as 0.2:0.8");
  const double low = read_share(what, text.substr(0, colon)), high = read_share(what, text.substr(colon + 1));
  check(low < high, ErrorKind::usage, what, " is \"", printable(text), "\", which is no step at all");
  return {low, high};
}

}  // namespace tstitch
