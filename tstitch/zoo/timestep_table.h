#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/base/function_ref.h"
#include "tstitch/diffusion/network.h"

namespace tstitch {

// What depends on a timestep, a scale of guidance and one number (a class, a condition) alone, as rows of
// tables from which a network gathers its own: that of the pairs ((t, guidance), number) that were asked for
// last.
//
// What is missing is computed for many steps at once, those that the asking rows say lie ahead, so that the
// weights behind it are read once for all of them. The pairs that were not used for longest make way.
class TimestepTable {
 public:
  static constexpr int64_t kMostBytes = int64_t{64} << 20;  // unless one evaluation needs more,
  static constexpr int64_t kMostPairs = 512;                // likewise

  // To be computed for a timestep and the guidance and number of one of the rows that were asked for.
  struct Pair {
    double t;
    size_t row;
  };
  // The tables of R pairs, each (R, columns) f32; the same number of them with the same columns every time.
  using Compute = FunctionRef<std::vector<Tensor>(std::span<const Pair> pairs)>;

  TimestepTable(Backend& backend, int64_t bytes_per_pair);

  // Of each of these rows the row of tables(); valid until the next call. numbers: of every row.
  std::span<const int64_t> find(std::span<const Row> rows, std::span<const int64_t> numbers, Compute compute);
  const std::vector<Tensor>& tables() const { return tables_; }

 private:
  struct Slot {
    double t = 0, guidance = 1;
    int64_t number = 0;
    uint64_t used = 0;  // by which call; 0: by none
  };

  int64_t slot_of(double t, double guidance, int64_t number) const;  // -1: in none
  bool find_all(std::span<const Row> rows, std::span<const int64_t> numbers);
  void choose_pairs(std::span<const Row> rows, std::span<const int64_t> numbers);
  void add_pair(double t, size_t row, std::span<const Row> rows, std::span<const int64_t> numbers);
  void fill(std::span<const Row> rows, std::span<const int64_t> numbers, Compute compute);

  Backend& backend_;
  std::vector<Slot> slots_;
  std::vector<Tensor> tables_;  // a row for each slot
  uint64_t calls_ = 0;
  std::vector<int64_t> found_, oldest_;
  std::vector<Pair> pairs_;
};

}  // namespace tstitch
