// Shapes as foreign files declare them, before they are known to fit anything.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace tstitch {

// The product of the extents (each >= 0), or nothing when it does not fit. An extent of 0 does not excuse
// others that overflow: the answer must not depend on their order.
std::optional<int64_t> checked_elements(std::span<const int64_t> extents);

std::string extents_text(std::span<const int64_t> extents);  // "[2, 3]", of long ones the beginning

}  // namespace tstitch
