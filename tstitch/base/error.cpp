#include "tstitch/base/error.h"

#include <algorithm>
#include <string_view>

#include "tstitch/base/utf8.h"

namespace tstitch {
namespace {

using std::literals::operator""sv;

// What a terminal obeys instead of showing it: control characters, ends of lines, and what turns the
// direction of a text, so that a name would look like another one. First and last of each range; well-formed
// characters are in the order of their bytes.
constexpr std::string_view kObeyed[][2] = {{"\0"sv, "\x1f"},     {"\x7f", "\u009f"},   {"\u061c", "\u061c"},
                                           {"\u200e", "\u200f"}, {"\u2028", "\u202e"}, {"\u2066", "\u2069"}};

bool is_shown(std::string_view character) {
  return std::ranges::none_of(
      kObeyed, [&](const auto& range) { return range[0] <= character && character <= range[1]; });
}

}  // namespace

std::string printable(const std::string& text, size_t limit) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (std::string_view rest = text; !rest.empty();) {
    if (out.size() >= limit) return out + "...";
    const size_t length = utf8_length(rest);
    const std::string_view character = rest.substr(0, std::max<size_t>(length, 1));
    if (length > 0 && is_shown(character))
      out += character;
    else
      for (const unsigned char c : character) out += {'\\', 'x', kHex[c >> 4], kHex[c & 15]};
    rest.remove_prefix(character.size());
  }
  return out;
}

}  // namespace tstitch
