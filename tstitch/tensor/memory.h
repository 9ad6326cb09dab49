#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

namespace tstitch {

// Where tensors live. Blocks are aligned to 64 bytes.
class Memory {
 public:
  virtual ~Memory() = default;
  virtual void* allocate(size_t bytes) = 0;  // throws Error{device} when there is none left
  virtual void deallocate(void* block, size_t bytes) noexcept = 0;  // bytes as given to allocate
  virtual void trim() {}  // gives blocks that are cached and not in use back to the system
};

// Host memory that keeps freed blocks for the next request of the same size, so that the steady state
// of a sampling loop, which asks for the same sizes at every step, never reaches the system.
class CachingMemory final : public Memory {
 public:
  struct Statistics {
    int64_t system_allocations = 0;  // requests that the cache could not serve
    int64_t bytes_reserved = 0;      // taken from the system and not given back
    int64_t bytes_in_use = 0;        // held by tensors now
    int64_t peak_bytes_in_use = 0;
  };

  ~CachingMemory() override;
  void* allocate(size_t bytes) override;
  void deallocate(void* block, size_t bytes) noexcept override;

  Statistics statistics() const;
  void trim() override;

 private:
  // Blocks of one size.
  struct Bin {
    std::vector<void*> free;  // capacity for all blocks, so that giving one back never allocates
    size_t blocks = 0;        // free or in use
  };

  void release_cached();

  mutable std::mutex mutex_;
  std::map<size_t, Bin> bins_;  // by size, after rounding up
  Statistics statistics_;
};

// The memory of everything that lives on the host: one for the process, so that the backends share it.
CachingMemory& host_memory();

}  // namespace tstitch
