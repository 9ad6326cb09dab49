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
  CachingMemory memory;
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{64}, size_t{65}, size_t{100'000}}) {
    void* block = memory.allocate(bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % 64, 0u);
    std::memset(block, 0xab, bytes);
    memory.deallocate(block, bytes);
  }
}

TEST(CachingMemory, ServesTheSameSizeFromTheCache) {
  CachingMemory memory;
  void* first = memory.allocate(1000);
  memory.deallocate(first, 1000);
  EXPECT_EQ(memory.allocate(1024), first);  // the same after rounding up to 64
  EXPECT_EQ(memory.statistics().system_allocations, 1);
  void* second = memory.allocate(1000);  // the first is in use
  EXPECT_NE(second, first);
  EXPECT_EQ(memory.statistics().system_allocations, 2);
  memory.deallocate(first, 1024);
  memory.deallocate(second, 1000);
}

TEST(CachingMemory, CountsBytes) {
  CachingMemory memory;
  void* a = memory.allocate(64);
  void* b = memory.allocate(100);  // takes 128
  EXPECT_EQ(memory.statistics().bytes_in_use, 192);
  memory.deallocate(a, 64);
  EXPECT_EQ(memory.statistics().bytes_in_use, 128);
  EXPECT_EQ(memory.statistics().bytes_reserved, 192);
  EXPECT_EQ(memory.statistics().peak_bytes_in_use, 192);
  memory.trim();
  EXPECT_EQ(memory.statistics().bytes_reserved, 128);
  memory.deallocate(b, 100);
  memory.trim();
  EXPECT_EQ(memory.statistics().bytes_reserved, 0);
  EXPECT_EQ(memory.statistics().peak_bytes_in_use, 192);
}

TEST(CachingMemory, SaysWhenThereIsNoneLeft) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the address sanitizer aborts on such a request";
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
  GTEST_SKIP() << "the address sanitizer aborts on such a request";
#endif
#endif
  CachingMemory memory;
  try {
    memory.allocate(size_t{1} << 60);
    FAIL() << "an exbibyte was allocated";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::device);
  }
  EXPECT_EQ(memory.statistics().bytes_in_use, 0);
  EXPECT_EQ(memory.statistics().bytes_reserved, 0);
  memory.deallocate(memory.allocate(64), 64);  // still usable
}

TEST(CachingMemory, MayBeUsedFromManyThreads) {
  CachingMemory memory;
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
