#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "tstitch/base/error.h"

namespace tstitch {

// The items as `<<` writes them, with `separator` between. projection: what is written of an item.
template <class Items, class Projection = std::identity>
std::string join(const Items& items, std::string_view separator = ", ", const Projection& projection = {}) {
  std::string text;
  bool first = true;
  for (const auto& item : items) {
    text += concat(first ? "" : separator, std::invoke(projection, item));
    first = false;
  }
  return text;
}

}  // namespace tstitch
