#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tstitch {

// The indices first ... first + count - 1.
struct IndexRange {
  int64_t first = 0, count = 0;

  int64_t end() const { return first + count; }
  bool operator==(const IndexRange&) const = default;
};

// What of `whole` is in none of `parts`, which may overlap and come in any order. Sorted, as few ranges as
// possible.
std::vector<IndexRange> missing_from(IndexRange whole, std::vector<IndexRange> parts);

int64_t total(const std::vector<IndexRange>& ranges);  // how many indices, of ranges that do not overlap

// "0-7, 12, 20-31"; of more than `limit` ranges the first ones and how many more there are.
std::string to_string(const std::vector<IndexRange>& ranges, size_t limit = 20);

}  // namespace tstitch
