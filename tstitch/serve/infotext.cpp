#include "tstitch/serve/infotext.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

namespace tstitch::serve {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

// The end of a text in double quotes that begins at `begin`, or of the line.
size_t end_of_quotes(std::string_view line, size_t begin) {
  for (size_t i = begin + 1; i < line.size(); ++i) {
    if (line[i] == '\\')
      ++i;
    else if (line[i] == '"')
      return i + 1;
  }
  return line.size();
}

std::string unquoted(std::string_view value) {
  if (!value.starts_with('"')) return std::string(value);
  const auto json = nlohmann::json::parse(value, nullptr, false);
  return json.is_string() ? json.get<std::string>() : std::string(value);
}

Pairs parse_line(std::string_view line) {
  Pairs pairs;
  while (!line.empty()) {
    const size_t colon = line.find(": ");
    if (colon == line.npos) return {};
    const bool quoted = line.substr(colon + 2).starts_with('"');
    const size_t end =
        std::min(line.find(", ", quoted ? end_of_quotes(line, colon + 2) : colon + 2), line.size());
    pairs.emplace_back(line.substr(0, colon), unquoted(line.substr(colon + 2, end - colon - 2)));
    line.remove_prefix(std::min(end + 2, line.size()));
  }
  return pairs;
}

}  // namespace

Pairs parse_infotext(const std::string& text) {
  const size_t last = text.rfind('\n');
  if (last == text.npos) return {};
  const Pairs settings = parse_line(std::string_view(text).substr(last + 1));
  if (settings.size() < 3) return {};  // as the web UI: a line of the prompt, then
  constexpr std::string_view kNegative = "\nNegative prompt: ";
  const std::string above = text.substr(0, last);
  const size_t negative = std::min(above.find(kNegative), above.size());
  Pairs pairs = {{"Prompt", above.substr(0, negative)},
                 {"Negative prompt", above.substr(std::min(negative + kNegative.size(), above.size()))}};
  pairs.insert(pairs.end(), settings.begin(), settings.end());
  return pairs;
}

}  // namespace tstitch::serve
