// The grammar of options that hold several things: KEY=VALUE,...
#pragma once

#include <cstddef>
#include <string>
#include <utility>

namespace tstitch {

// From `at` on up to a comma or, in double quotes, in which a quote is written twice, their end; `at` then
// stands behind the comma. Throws Error{usage} naming `option` for quotes that are not closed.
std::string take_value(const std::string& option, const std::string& text, size_t& at);
// The inverse: with quotes where the value needs them.
std::string quoted_value(const std::string& value);

// LOW:HIGH, shares with low < high: "0.2:0.8". Throws Error{usage} naming `what`.
std::pair<double, double> read_interval(const std::string& what, const std::string& text);

}  // namespace tstitch
