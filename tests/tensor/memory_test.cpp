#include "tstitch/tensor/memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

#include "tstitch/base/error.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch {
namespace {

TEST(CachingMemory, AlignsToCacheLines) {
  HostMemory memory;
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{64}, size_t{65}, size_t{100'000}}) {
    Block& block = memory.allocate(bytes);
    EXPECT_EQ(block.address % 64, 0u);
    EXPECT_GE(block.bytes, bytes);
    std::memset(reinterpret_cast<void*>(block.address), 0xab, bytes);
    memory.deallocate(block);
  }
}

TEST(CachingMemory, ServesTheSameSizeFromTheCache) {
  HostMemory memory;
  Block& first = memory.allocate(1000);
  memory.deallocate(first);
  EXPECT_EQ(&memory.allocate(1024), &first);  // the same after rounding up to 64
  EXPECT_EQ(memory.statistics().system_allocations, 1);
  Block& second = memory.allocate(1000);  // the first is in use
  EXPECT_NE(second.address, first.address);
  EXPECT_EQ(memory.statistics().system_allocations, 2);
  memory.deallocate(first);
  memory.deallocate(second);
}

TEST(CachingMemory, CountsBytes) {
  HostMemory memory;
  Block& a = memory.allocate(64);
  Block& b = memory.allocate(100);  // takes 128
  EXPECT_EQ(memory.statistics().bytes_in_use, 192);
  memory.deallocate(a);
  EXPECT_EQ(memory.statistics().bytes_in_use, 128);
  EXPECT_EQ(memory.statistics().bytes_reserved, 192);
  EXPECT_EQ(memory.statistics().peak_bytes_in_use, 192);
  memory.trim();
  EXPECT_EQ(memory.statistics().bytes_reserved, 128);
  memory.deallocate(b);
  memory.trim();
  EXPECT_EQ(memory.statistics().bytes_reserved, 0);
  EXPECT_EQ(memory.statistics().peak_bytes_in_use, 192);
}

// Not a block for every size there ever was.
TEST(CachingMemory, KeepsNoMoreThanAFewTimesWhatWasInUse) {
  HostMemory memory;
  constexpr int64_t kMiB = 1 << 20, kMost = 256;
  for (int64_t size = 1; size <= kMost; ++size)
    memory.deallocate(memory.allocate(static_cast<size_t>(size * kMiB)));
  EXPECT_EQ(memory.statistics().peak_bytes_in_use, kMost * kMiB);
  EXPECT_LE(memory.statistics().bytes_reserved, (256 + 3 * kMost) * kMiB);
}

TEST(CachingMemory, SaysWhenThereIsNoneLeft) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the address sanitizer aborts on such a request";
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
  GTEST_SKIP() << "the address sanitizer aborts on such a request";
#endif
#endif
  HostMemory memory;
  try {
    memory.allocate(size_t{1} << 60);
    FAIL() << "an exbibyte was allocated";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::device);
  }
  EXPECT_EQ(memory.statistics().bytes_in_use, 0);
  EXPECT_EQ(memory.statistics().bytes_reserved, 0);
  memory.deallocate(memory.allocate(64));  // still usable
}

TEST(CachingMemory, MayBeUsedFromManyThreads) {
  HostMemory memory;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread)
    threads.emplace_back([&memory] {
      for (int i = 0; i < 1000; ++i) {
        const Tensor tensor({1 + i % 7, 16}, DType::f32, memory);
        const Tensor shared = tensor;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(memory.statistics().bytes_in_use, 0);
  EXPECT_LE(memory.statistics().system_allocations, 4 * 7);
}

TEST(HostMemory, IsOneForTheProcess) { EXPECT_EQ(&host_memory(), &host_memory()); }

}  // namespace
}  // namespace tstitch
