#include "tstitch/zoo/dit_network.h"

#include <algorithm>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/zoo/alike_rows.h"

namespace tstitch {
namespace {

constexpr size_t kMostExtents = 8;

struct BoundClass final : BoundCondition {
  explicit BoundClass(int64_t c) : class_number(c) {}
  int64_t class_number;
};

}  // namespace

DiTNetwork::DiTNetwork(DiT dit)
    : dit_(std::move(dit)), modulations_(dit_.backend(), dit_.conditioning_bytes_per_row()) {}

std::unique_ptr<const BoundCondition> DiTNetwork::bind(const Condition& condition, int64_t height,
                                                       int64_t width) const {
  check_internal(condition.class_number.has_value(), "a DiT bound without a class");
  dit_.check_extent(height, width);
  return std::make_unique<BoundClass>(*condition.class_number);
}

Tensor DiTNetwork::evaluate(const Tensor& x, std::span<const Row> rows) const {
  const std::lock_guard lock(turn_);
  const auto alike = [](const Row& a, const Row& b) { return a.form == b.form; };
  return evaluate_alike_together(dit_.backend(), x, rows, alike,
                                 [&](const Tensor& own_x, std::span<const Row> own_rows) {
                                   const std::span<const int64_t> found = conditioning_of(own_rows);
                                   const Tensor& positions = positions_of(x.extent(1), x.extent(2));
                                   const BlockWalk walk{.skipped = own_rows[0].form.skip};
                                   return dit_.backend().repeated(own_x, [&](const Tensor& input) {
                                     return dit_(input, positions, modulations_.tables(), found, walk);
                                   });
                                 });
}

Tensor DiTNetwork::evaluate_observed(const Tensor& x, std::span<const Row> rows,
                                     BlockObserver observer) const {
  const std::lock_guard lock(turn_);
  const std::span<const int64_t> found = conditioning_of(rows);
  return dit_(x, positions_of(x.extent(1), x.extent(2)), modulations_.tables(), found,
              {.skipped = rows[0].form.skip, .observer = &observer});
}

std::span<const int64_t> DiTNetwork::conditioning_of(std::span<const Row> rows) const {
  classes_.clear();
  for (const Row& row : rows) classes_.push_back(static_cast<const BoundClass&>(*row.condition).class_number);
  return modulations_.find(rows, classes_, [&](std::span<const TimestepTable::Pair> pairs) {
    std::vector<double> t;
    std::vector<int64_t> classes;
    for (const auto& pair : pairs) {
      t.push_back(pair.t);
      classes.push_back(classes_[pair.row]);
    }
    return dit_.condition(t, classes);
  });
}

const Tensor& DiTNetwork::positions_of(int64_t height, int64_t width) const {
  const auto known = std::ranges::find_if(
      positions_, [&](const Positions& p) { return p.height == height && p.width == width; });
  if (known != positions_.end()) {
    std::rotate(known, known + 1, positions_.end());
    return positions_.back().table;
  }
  if (positions_.size() == kMostExtents) positions_.erase(positions_.begin());
  positions_.push_back({height, width, dit_.positions(height, width)});
  return positions_.back().table;
}

}  // namespace tstitch
