#include "tstitch/zoo/timestep_table.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <set>
#include <tuple>

#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

// Few different sizes, so that what is computed finds the memory of something before it.
size_t rounded(size_t pairs) { return pairs <= 64 ? std::bit_ceil(pairs) : (pairs + 63) / 64 * 64; }

size_t distinct(std::span<const Row> rows, std::span<const int64_t> numbers) {
  std::set<std::tuple<double, double, int64_t>> pairs;
  for (size_t n = 0; n < rows.size(); ++n) pairs.emplace(rows[n].t, rows[n].guidance, numbers[n]);
  return pairs.size();
}

}  // namespace

TimestepTable::TimestepTable(Backend& backend, int64_t bytes_per_pair)
    : backend_(backend),
      slots_(static_cast<size_t>(std::clamp<int64_t>(kMostBytes / bytes_per_pair, 1, kMostPairs))) {}

std::span<const int64_t> TimestepTable::find(std::span<const Row> rows, std::span<const int64_t> numbers,
                                             Compute compute) {
  ++calls_;
  if (find_all(rows, numbers)) return found_;
  if (const size_t pairs = distinct(rows, numbers); pairs > slots_.size()) {
    slots_.assign(std::bit_ceil(pairs), {});
    tables_.clear();
    find_all(rows, numbers);
  }
  choose_pairs(rows, numbers);
  fill(rows, numbers, compute);
  find_all(rows, numbers);
  return found_;
}

int64_t TimestepTable::slot_of(double t, double guidance, int64_t number) const {
  const auto slot = std::ranges::find_if(slots_, [&](const Slot& s) {
    return s.used > 0 && s.t == t && s.guidance == guidance && s.number == number;
  });
  return slot == slots_.end() ? -1 : slot - slots_.begin();
}

// Whether all are there; those that are count as used.
bool TimestepTable::find_all(std::span<const Row> rows, std::span<const int64_t> numbers) {
  found_.resize(rows.size());
  for (size_t n = 0; n < rows.size(); ++n) {
    const bool as_before = n > 0 && rows[n].t == rows[n - 1].t && rows[n].guidance == rows[n - 1].guidance &&
                           numbers[n] == numbers[n - 1];
    found_[n] = as_before ? found_[n - 1] : slot_of(rows[n].t, rows[n].guidance, numbers[n]);
    if (found_[n] >= 0) slots_[static_cast<size_t>(found_[n])].used = calls_;
  }
  return std::ranges::find(found_, -1) == found_.end();
}

// What is missing, and of what lies ahead as much as all pairs of such an evaluation can have in a quarter of
// the slots: evaluations of other extents may take turns with this one.
void TimestepTable::choose_pairs(std::span<const Row> rows, std::span<const int64_t> numbers) {
  pairs_.clear();
  for (size_t n = 0; n < rows.size(); ++n)
    if (found_[n] < 0) add_pair(rows[n].t, n, rows, numbers);
  const size_t missing = pairs_.size();
  const auto there = static_cast<size_t>(std::ranges::count(slots_, calls_, &Slot::used));
  const size_t share = slots_.size() / (4 * (there + missing));
  for (size_t i = 0; i < missing; ++i) {
    const auto [t, row] = pairs_[i];
    const size_t most = pairs_.size() + share;
    for (const double later : rows[row].ahead) {
      if (pairs_.size() + 1 >= most) break;
      if (slot_of(later, rows[row].guidance, numbers[row]) < 0) add_pair(later, row, rows, numbers);
    }
  }
}

void TimestepTable::add_pair(double t, size_t row, std::span<const Row> rows,
                             std::span<const int64_t> numbers) {
  const bool there = std::ranges::any_of(pairs_, [&](const Pair& pair) {
    return pair.t == t && rows[pair.row].guidance == rows[row].guidance && numbers[pair.row] == numbers[row];
  });
  if (!there) pairs_.push_back({t, row});
}

void TimestepTable::fill(std::span<const Row> rows, std::span<const int64_t> numbers, Compute compute) {
  oldest_.resize(slots_.size());
  std::iota(oldest_.begin(), oldest_.end(), 0);
  const auto used = [&](int64_t slot) { return slots_[static_cast<size_t>(slot)].used; };
  std::ranges::stable_sort(oldest_, {}, used);

  const size_t count = pairs_.size(), padded = std::min(rounded(count), slots_.size());
  pairs_.resize(padded, pairs_.back());
  std::fill(oldest_.begin() + static_cast<std::ptrdiff_t>(count),
            oldest_.begin() + static_cast<std::ptrdiff_t>(padded), oldest_[count - 1]);
  const std::span<const int64_t> places(oldest_.data(), padded);
  const std::vector<Tensor> parts = compute(pairs_);
  if (tables_.empty()) {
    std::vector<Tensor> tables;
    for (const Tensor& part : parts)
      tables.emplace_back(Shape({std::ssize(slots_), part.columns()}), DType::f32, backend_.memory());
    tables_ = std::move(tables);
  }
  // Of no use until they are whole.
  for (const int64_t place : places) slots_[static_cast<size_t>(place)].used = 0;
  for (size_t i = 0; i < parts.size(); ++i) scatter(backend_, tables_[i], places, parts[i]);
  for (size_t i = 0; i < count; ++i)
    slots_[static_cast<size_t>(places[i])] = {pairs_[i].t, rows[pairs_[i].row].guidance,
                                              numbers[pairs_[i].row], calls_};
}

}  // namespace tstitch
