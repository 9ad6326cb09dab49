#include "tstitch/diffusion/routed_denoiser.h"

#include <algorithm>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

// Rows of the outermost dimension.
Tensor gather_images(Backend& backend, const Tensor& x, std::span<const int64_t> rows) {
  const Tensor table = x.reshape({x.extent(0), x.elements() / x.extent(0)});
  const Tensor gathered = gather(backend, table, rows);
  return gathered.reshape({std::ssize(rows), x.extent(1), x.extent(2), x.extent(3)});
}

// a and b one after the other along the outermost dimension; either may be strided.
Tensor concat_images(Backend& backend, const Tensor& a, const Tensor& b) {
  const auto flat = [&](const Tensor& x) {
    const Tensor whole = x.is_contiguous() ? x : combine(backend, {{1, &x}});
    return whole.reshape({1, x.elements()});
  };
  return concat_columns(backend, flat(a), flat(b))
      .reshape({a.extent(0) + b.extent(0), a.extent(1), a.extent(2), a.extent(3)});
}

}  // namespace

void RoutedDenoiser::route(std::span<const int> denoiser_of_row) {
  std::vector<Group> groups;
  for (int64_t row = 0; row < std::ssize(denoiser_of_row); ++row) {
    const int denoiser = denoiser_of_row[static_cast<size_t>(row)];
    auto group = std::ranges::find(groups, denoiser, &Group::denoiser);
    if (group == groups.end()) group = groups.insert(group, {denoiser, {}, nullptr});
    group->rows.push_back(row);
  }
  order_.resize(denoiser_of_row.size());
  int64_t place = 0;
  for (Group& group : groups) {
    for (const int64_t row : group.rows) order_[static_cast<size_t>(row)] = place++;
    for (Group& before : groups_)
      if (before.denoiser == group.denoiser && before.rows == group.rows)
        group.bound = std::move(before.bound);
  }
  groups_.clear();  // the memory of what was bound serves the next
  for (Group& group : groups)
    if (!group.bound) {
      group.bound = bind_(group.denoiser, group.rows);
      group.bound->prepare(std::span(levels_).subspan(std::min(asked_, levels_.size())));
    }
  groups_ = std::move(groups);
}

Prediction RoutedDenoiser::predict(const Tensor& x, const NoiseLevel& level) const {
  check_internal(x.extent(0) == std::ssize(order_), "a batch of ", x.extent(0), ", but ", order_.size(),
                 " rows are routed");
  ++asked_;
  if (groups_.size() == 1) return groups_[0].bound->predict(x, level);
  Prediction all;
  for (const Group& group : groups_) {
    Prediction part = group.bound->predict(gather_images(backend_, x, group.rows), level);
    if (!all.x0) {
      all = std::move(part);
      continue;
    }
    check(static_cast<bool>(all.variance) == static_cast<bool>(part.variance), ErrorKind::input,
          "one of the models predicts a variance and another does not: images of one batch cannot switch"
          " between them one by one");
    all.x0 = concat_images(backend_, all.x0, part.x0);
    all.eps = concat_images(backend_, all.eps, part.eps);
    if (all.variance) all.variance = concat_images(backend_, all.variance, part.variance);
  }
  all.x0 = gather_images(backend_, all.x0, order_);
  all.eps = gather_images(backend_, all.eps, order_);
  if (all.variance) all.variance = gather_images(backend_, all.variance, order_);
  return all;
}

void RoutedDenoiser::prepare(std::span<const NoiseLevel> levels) {
  levels_.assign(levels.begin(), levels.end());
  asked_ = 0;
  for (Group& group : groups_) group.bound->prepare(levels_);
}

}  // namespace tstitch
