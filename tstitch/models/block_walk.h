// The way through the blocks of a transformer, each of which adds to its input: any of them may be left out,
// and what each adds may be looked at.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "tstitch/base/function_ref.h"
#include "tstitch/ops/ops.h"

namespace tstitch {

struct BlockWalk {
  // See Network::evaluate_observed.
  using Observer = FunctionRef<void(int64_t block, const Tensor& before, const Tensor& after)>;

  std::span<const int64_t> skipped = {};  // the numbers of those that are left out, ascending
  const Observer* observer = nullptr;     // or none

  // What the block of that number adds to x, (N, T, D) f32, in place: `apply` does it.
  template <class Apply>
  void pass(Backend& backend, int64_t block, Tensor& x, const Apply& apply) const {
    if (std::ranges::binary_search(skipped, block)) return;
    if (!observer) return apply();
    const Tensor before = repeat(backend, x, 1);
    apply();
    (*observer)(block, before, x);
  }
};

}  // namespace tstitch
