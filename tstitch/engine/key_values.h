// The grammar of options that hold several things: KEY=VALUE,...
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"

namespace tstitch {

// From `at` on up to a comma or, in double quotes, in which a quote is written twice, their end; `at` then
// stands behind the comma. Throws Error{usage} naming `option` for quotes that are not closed.
std::string take_value(const std::string& option, const std::string& text, size_t& at);
// Moves `at` behind spaces; whether anything is left there.
bool skip_spaces(const std::string& text, size_t& at);
// The inverse of take_value: with quotes where the value needs them.
std::string quoted_value(const std::string& value);

// Calls take(key, text) for every KEY=VALUE from `at` on. keys: a table whose rows have a name and say
// whether a key may be there several times (repeats). Throws Error{usage} naming `option` for keys that are
// not known, without a value, or there twice.
template <class Keys, class Take>
void take_key_values(const std::string& option, const std::string& text, size_t at, const Keys& keys,
                     Take&& take) {
  std::vector<std::string_view> seen;
  while (skip_spaces(text, at)) {
    const size_t equals = text.find('=', at), comma = text.find(',', at);
    const std::string name = text.substr(at, std::min(equals, comma) - at);
    const auto key = std::ranges::find_if(keys, [&](const auto& one) { return one.name == name; });
    check(key != std::end(keys), ErrorKind::usage, option, " has no key \"", printable(name),
          "\", expected one of: ", join(keys, ", ", [](const auto& one) { return one.name; }));
    check(equals < comma, ErrorKind::usage, option, ": expected ", name, "=VALUE");
    check(key->repeats || !std::ranges::count(seen, key->name), ErrorKind::usage, option, ": ", name,
          "= is there twice");
    seen.push_back(key->name);
    at = equals + 1;
    take(*key, take_value(option, text, at));
  }
}

// LOW:HIGH as its two ends. example: for the message. Throws Error{usage} naming `what`.
std::pair<std::string, std::string> ends_of(const std::string& what, const std::string& text,
                                            std::string_view example);
// The same of shares with low < high: "0.2:0.8".
std::pair<double, double> read_interval(const std::string& what, const std::string& text);

}  // namespace tstitch
