#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "tstitch/diffusion/network.h"
#include "tstitch/models/dit.h"
#include "tstitch/zoo/timestep_table.h"

namespace tstitch {

// A DiT whose rows show classes. The adaLN modulations of the pairs (t, class) that rows ask for are kept
// (timestep_table.h), and the position tables of the extents.
class DiTNetwork final : public Network {
 public:
  explicit DiTNetwork(DiT dit);

  std::unique_ptr<const BoundCondition> bind(const Condition& condition, int64_t height,
                                             int64_t width) const override;
  // Rows that leave out other blocks are evaluated apart.
  Tensor evaluate(const Tensor& x, std::span<const Row> rows) const override;
  Tensor evaluate_observed(const Tensor& x, std::span<const Row> rows, BlockObserver observer) const override;

 private:
  // Where the conditioning of each row is in modulations_, whatever form it is asked in.
  std::span<const int64_t> conditioning_of(std::span<const Row> rows) const;
  const Tensor& positions_of(int64_t height, int64_t width) const;

  DiT dit_;
  mutable std::mutex turn_;  // of all that follows
  mutable TimestepTable modulations_;
  mutable std::vector<int64_t> classes_;  // of the rows
  struct Positions {
    int64_t height, width;
    Tensor table;
  };
  mutable std::vector<Positions> positions_;  // of the extents asked for last, the newest at the end
};

}  // namespace tstitch
