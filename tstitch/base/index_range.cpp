#include "tstitch/base/index_range.h"

#include <algorithm>

#include "tstitch/base/error.h"

namespace tstitch {

std::vector<IndexRange> missing_from(IndexRange whole, std::vector<IndexRange> parts) {
  std::ranges::sort(parts, {}, &IndexRange::first);
  std::vector<IndexRange> missing;
  int64_t at = whole.first;
  for (const IndexRange& part : parts) {
    const int64_t until = std::min(part.first, whole.end());
    if (part.count > 0 && at < until) missing.push_back({at, until - at});
    if (part.count > 0) at = std::max(at, part.end());
  }
  if (at < whole.end()) missing.push_back({at, whole.end() - at});
  return missing;
}

int64_t total(const std::vector<IndexRange>& ranges) {
  int64_t count = 0;
  for (const IndexRange& range : ranges) count += range.count;
  return count;
}

std::string to_string(const std::vector<IndexRange>& ranges, size_t limit) {
  std::string text;
  for (size_t i = 0; i < std::min(ranges.size(), limit); ++i) {
    if (i) text += ", ";
    text += std::to_string(ranges[i].first);
    if (ranges[i].count > 1) text += concat('-', ranges[i].end() - 1);
  }
  if (ranges.size() > limit) text += concat(", and ", ranges.size() - limit, " more ranges");
  return text;
}

}  // namespace tstitch
