#pragma once

#include <functional>
#include <sstream>
#include <string>
#include <string_view>

namespace tstitch {

// The items as `<<` writes them, with `separator` between. projection: what is written of an item.
template <class Items, class Projection = std::identity>
std::string join(const Items& items, std::string_view separator = ", ", const Projection& projection = {}) {
  std::ostringstream text;
  bool first = true;
  for (const auto& item : items) {
    text << (first ? "" : separator) << std::invoke(projection, item);
    first = false;
  }
  return text.str();
}

}  // namespace tstitch
