#include "tstitch/tensor/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

constexpr size_t kAlignment = 64;
// Free blocks that are kept: this, and so many times what has been in use at most.
constexpr int64_t kCachedBytes = int64_t{256} << 20, kCachedTimes = 2;

size_t rounded(size_t bytes) {
  return std::max<size_t>(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
}

}  // namespace

Block& CachingMemory::allocate(size_t bytes) {
  const size_t size = rounded(bytes);
  const std::lock_guard lock(mutex_);
  Block* block = nullptr;
  Bin& bin = bins_[size];
  if (!bin.free.empty()) {
    block = bin.free.back();
    bin.free.pop_back();
  } else {
    // Batches of many sizes would else leave blocks for each of them. One size needs less: what it frees on
    // the way is, by and large, what it uses.
    if (statistics_.bytes_reserved - statistics_.bytes_in_use >
        kCachedBytes + kCachedTimes * statistics_.peak_bytes_in_use)
      release_cached();
    bin.free.reserve(std::bit_ceil(bin.blocks + 1));
    uintptr_t address = acquire(size);
    if (address == 0) {
      release_cached();
      address = acquire(size);
    }
    check(address != 0, ErrorKind::device, "out of memory: ", size >> 20, " MiB could not be had beside the ",
          statistics_.bytes_reserved >> 20, " MiB already in use");
    block = new Block{.memory = *this, .address = address, .bytes = size};
    ++bin.blocks;
    ++statistics_.system_allocations;
    statistics_.bytes_reserved += static_cast<int64_t>(size);
  }
  block->references.store(1, std::memory_order_relaxed);
  statistics_.bytes_in_use += static_cast<int64_t>(size);
  statistics_.peak_bytes_in_use = std::max(statistics_.peak_bytes_in_use, statistics_.bytes_in_use);
  return *block;
}

void CachingMemory::deallocate(Block& block) noexcept {
  const std::lock_guard lock(mutex_);
  statistics_.bytes_in_use -= static_cast<int64_t>(block.bytes);
  std::vector<Block*>& free = bins_.find(block.bytes)->second.free;
  const auto higher = [&](const Block* other) { return other->address > block.address; };
  free.insert(reuse_ == Reuse::latest ? free.end() : std::ranges::partition_point(free, higher), &block);
}

CachingMemory::Statistics CachingMemory::statistics() const {
  const std::lock_guard lock(mutex_);
  return statistics_;
}

void CachingMemory::trim() {
  const std::lock_guard lock(mutex_);
  release_cached();
}

void CachingMemory::release_cached() {
  for (auto& [size, bin] : bins_) {
    for (Block* block : bin.free) {
      give_back(block->address, size);
      delete block;
    }
    statistics_.bytes_reserved -= static_cast<int64_t>(size * bin.free.size());
    bin.blocks -= bin.free.size();
    bin.free.clear();
  }
}

// Large blocks in pages of 2 MiB where the system has them: weights are touched in a fraction of the time,
// and products over them miss fewer translations. Only a hint, so nobody asks whether it was taken.
uintptr_t HostMemory::acquire(size_t size) {
  constexpr size_t kHugePage = size_t{2} << 20;
  if (size < 2 * kHugePage) return reinterpret_cast<uintptr_t>(std::aligned_alloc(kAlignment, size));
  void* block = nullptr;  // aligned_alloc takes multiples of the alignment only
  if (posix_memalign(&block, kHugePage, size) != 0) return 0;
  madvise(block, size / kHugePage * kHugePage, MADV_HUGEPAGE);
  return reinterpret_cast<uintptr_t>(block);
}

void HostMemory::give_back(uintptr_t address, size_t) noexcept {
  std::free(reinterpret_cast<void*>(address));
}

HostMemory& host_memory() {
  static HostMemory* memory = new HostMemory;  // outlives every static tensor
  return *memory;
}

}  // namespace tstitch
