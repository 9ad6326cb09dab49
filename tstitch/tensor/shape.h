#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <span>

namespace tstitch {

// The extents of a tensor, outermost first. Holds up to six of them in place, so that making one
// allocates nothing.
class Shape {
 public:
  static constexpr int kMaxRank = 6;

  Shape() = default;
  Shape(std::initializer_list<int64_t> extents)
      : Shape(std::span<const int64_t>(extents.begin(), extents.size())) {}
  // Throws Error{internal} for more than kMaxRank extents or a negative one.
  explicit Shape(std::span<const int64_t> extents);

  int rank() const { return rank_; }
  // Extent i; negative i counts from the end (-1 is the innermost).
  int64_t operator[](int i) const { return extents_[static_cast<size_t>(i < 0 ? i + rank_ : i)]; }
  int64_t elements() const;  // product of all extents; 1 for rank 0
  std::span<const int64_t> extents() const { return {extents_.data(), static_cast<size_t>(rank_)}; }

  // The same shape with extent i (negative: from the end) replaced.
  Shape with(int i, int64_t extent) const;

  bool operator==(const Shape& other) const;

 private:
  std::array<int64_t, kMaxRank> extents_{};
  int rank_ = 0;
};

// "[2, 256, 1152]". Checks name a shape as it is: it becomes text only where they fail, and every operation
// of every step has some.
std::ostream& operator<<(std::ostream& out, const Shape& shape);

}  // namespace tstitch
