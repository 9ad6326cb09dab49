#include "tstitch/tensor/shape.h"

#include <algorithm>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"

namespace tstitch {

Shape::Shape(std::span<const int64_t> extents) : rank_(static_cast<int>(extents.size())) {
  check_internal(extents.size() <= kMaxRank, "a shape of rank ", extents.size());
  for (const int64_t extent : extents) check_internal(extent >= 0, "a shape with the extent ", extent);
  std::copy(extents.begin(), extents.end(), extents_.begin());
}

int64_t Shape::elements() const {
  int64_t product = 1;
  for (const int64_t extent : extents()) product *= extent;
  return product;
}

Shape Shape::with(int i, int64_t extent) const {
  Shape shape = *this;
  shape.extents_[static_cast<size_t>(i < 0 ? i + rank_ : i)] = extent;
  return shape;
}

bool Shape::operator==(const Shape& other) const { return std::ranges::equal(extents(), other.extents()); }

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  return out << '[' << join(shape.extents()) << ']';
}

}  // namespace tstitch
