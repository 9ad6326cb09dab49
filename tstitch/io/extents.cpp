#include "tstitch/io/extents.h"

#include <algorithm>

#include "tstitch/base/checked.h"
#include "tstitch/base/error.h"
#include "tstitch/base/join.h"

namespace tstitch {

std::optional<int64_t> checked_elements(std::span<const int64_t> extents) {
  std::optional<int64_t> product = 1;
  for (const int64_t extent : extents) {
    product = checked_mul(*product, std::max<int64_t>(extent, 1));
    if (!product) return std::nullopt;
  }
  return std::ranges::count(extents, 0) ? 0 : product;
}

std::string extents_text(std::span<const int64_t> extents) {
  constexpr size_t kShown = 8;
  return concat("[", join(extents.first(std::min(kShown, extents.size()))),
                extents.size() > kShown ? ", ...]" : "]");
}

}  // namespace tstitch
