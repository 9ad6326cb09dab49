// Evaluations of rows that are not all asked alike: each kind of them is evaluated together.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "tstitch/diffusion/network.h"
#include "tstitch/ops/ops.h"

namespace tstitch {

// evaluate(x, rows) answers rows that are alike(a, b). x: (N, H, W, C) f32; returns the N answers in their
// order.
template <class Alike, class Evaluate>
Tensor evaluate_alike_together(Backend& backend, const Tensor& x, std::span<const Row> rows,
                               const Alike& alike, const Evaluate& evaluate) {
  std::vector<std::vector<size_t>> groups;
  for (size_t n = 0; n < rows.size(); ++n) {
    const auto group =
        std::ranges::find_if(groups, [&](const auto& members) { return alike(rows[members[0]], rows[n]); });
    (group == groups.end() ? groups.emplace_back() : *group).push_back(n);
  }
  if (groups.size() == 1) return evaluate(x, rows);

  std::vector<Tensor> answers(rows.size());
  for (const std::vector<size_t>& members : groups) {
    std::vector<Tensor> own_x;
    std::vector<Row> own_rows;
    for (const size_t n : members) {
      own_x.push_back(x.slice(static_cast<int64_t>(n), static_cast<int64_t>(n) + 1));
      own_rows.push_back(rows[n]);
    }
    const Tensor y = evaluate(stack(backend, own_x), std::span<const Row>(own_rows));
    for (int64_t i = 0; i < y.extent(0); ++i) answers[members[static_cast<size_t>(i)]] = y.slice(i, i + 1);
  }
  return stack(backend, answers);
}

}  // namespace tstitch
