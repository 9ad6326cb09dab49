#pragma once

#include <algorithm>
#include <cstdint>

#include "tstitch/backend/cpu/thread_pool.h"

namespace tstitch::cpu {

// f(item, thread) for every item, on up to `threads` threads. A thread takes the next item when it is free,
// so what an item computes must not depend on who computes it. f may not throw.
template <class F>
void parallel_for(int threads, int64_t items, const F& f) {
  const auto call = [](const void* context, int64_t item, int thread) {
    (*static_cast<const F*>(context))(item, thread);
  };
  thread_pool().run(threads, items, call, &f);
}

// f(begin, end) for ranges of 0..count of at least `grain`, four for each thread.
template <class F>
void parallel_ranges(int threads, int64_t count, int64_t grain, const F& f) {
  const int64_t items =
      threads == 1 ? 1 : std::max<int64_t>(1, std::min<int64_t>(4 * threads, count / grain));
  parallel_for(threads, items, [&](int64_t i, int) { f(i * count / items, (i + 1) * count / items); });
}

}  // namespace tstitch::cpu
