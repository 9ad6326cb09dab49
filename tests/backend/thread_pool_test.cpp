#include "tstitch/backend/cpu/thread_pool.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tstitch/backend/cpu/parallel.h"

namespace tstitch::cpu {
namespace {

TEST(ThreadPool, EveryItemIsDoneOnce) {
  for (const int threads : {1, 2, 3, 8})
    for (const int64_t items : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> done(static_cast<size_t>(items));
      parallel_for(threads, items, [&](int64_t i, int thread) {
        EXPECT_TRUE(0 <= thread && thread < threads);
        ++done[static_cast<size_t>(i)];
      });
      for (const auto& count : done) EXPECT_EQ(count, 1);
    }
}

TEST(ThreadPool, ManyShortJobsInARow) {
  // Workers that wake late must not touch the next job with the parts of the last one.
  for (int64_t job = 0; job < 20000; ++job) {
    std::atomic<int64_t> sum = 0;
    const int64_t items = 1 + job % 5;
    parallel_for(3, items, [&](int64_t i, int) { sum += job + i; });
    ASSERT_EQ(sum, items * job + items * (items - 1) / 2);
  }
}

TEST(ThreadPool, WhatItemsWroteIsSeenAfterwards) {
  std::vector<int64_t> values(100'000);
  for (int64_t round = 0; round < 20; ++round) {
    parallel_ranges(4, std::ssize(values), 1000, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) values[static_cast<size_t>(i)] = i * round;
    });
    for (int64_t i = 0; i < std::ssize(values); ++i) ASSERT_EQ(values[static_cast<size_t>(i)], i * round);
  }
}

TEST(ThreadPool, CallersAtOnceDoNotDisturbEachOther) {
  std::atomic<int64_t> sum = 0;
  {
    std::vector<std::jthread> callers;
    for (int caller = 0; caller < 4; ++caller)
      callers.emplace_back([&] {
        for (int job = 0; job < 2000; ++job) parallel_for(3, 10, [&](int64_t i, int) { sum += i; });
      });
  }
  EXPECT_EQ(sum, 4 * 2000 * 45);
}

}  // namespace
}  // namespace tstitch::cpu
