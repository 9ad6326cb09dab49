#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

namespace tstitch::cpu {

// f(item, thread) for every item. Threads take the next item when they are free, so that one that the system
// puts aside holds up nobody; hence what an item computes must not depend on who computes it. f may not throw.
template <class F>
void parallel_for(int threads, int64_t items, const F& f) {
  if (threads == 1 || items <= 1) {
    for (int64_t i = 0; i < items; ++i) f(i, 0);
    return;
  }
#pragma omp parallel for num_threads(threads) schedule(dynamic)
  for (int64_t i = 0; i < items; ++i) f(i, omp_get_thread_num());
}

// f(begin, end) for ranges of 0..count of at least `grain`, four for each thread.
template <class F>
void parallel_ranges(int threads, int64_t count, int64_t grain, const F& f) {
  const int64_t items = threads == 1 ? 1 : std::max<int64_t>(1, std::min<int64_t>(4 * threads, count / grain));
  parallel_for(threads, items, [&](int64_t i, int) { f(i * count / items, (i + 1) * count / items); });
}

}  // namespace tstitch::cpu
