#include "tstitch/base/philox.h"

#include <cmath>
#include <numbers>

namespace tstitch {

std::array<float, 4> philox_normal(const PhiloxBlock& block) {
  std::array<float, 4> normal;
  for (int i = 0; i < 4; i += 2) {
    const double u = (block[i] + 1.0) * 0x1p-32;  // (0, 1]: the logarithm needs u > 0
    const double angle = 2 * std::numbers::pi * (block[i + 1] * 0x1p-32);
    const double radius = std::sqrt(-2 * std::log(u));
    normal[i] = static_cast<float>(radius * std::cos(angle));
    normal[i + 1] = static_cast<float>(radius * std::sin(angle));
  }
  return normal;
}

}  // namespace tstitch
