#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "tstitch/tensor/place.h"

namespace tstitch {

class Memory;

// A piece of memory, and how many tensors share it. The bookkeeping lies on the host whatever the memory, and
// apart from it.
struct Block {
  Memory& memory;
  const uintptr_t address;
  const size_t bytes;
  std::atomic<int> references = 0;
};

// Where tensors live. Blocks are aligned to 64 bytes.
class Memory {
 public:
  virtual ~Memory() = default;
  virtual Place place() const = 0;
  // A block of at least so many bytes with one reference. Throws Error{device} when there is none left.
  virtual Block& allocate(size_t bytes) = 0;
  virtual void deallocate(Block& block) noexcept = 0;  // once nobody refers to it
  virtual void trim() {}  // gives blocks that are cached and not in use back to the system
  // What a device still has for this program and others. Nothing where it does not say, nor on the host,
  // whose limits are the system's (engine/memory_check.h).
  virtual std::optional<int64_t> bytes_free() const { return std::nullopt; }
};

// Keeps freed blocks for the next request of the same size, so that the steady state of a sampling loop,
// which asks for the same sizes at every step, never reaches the system.
class CachingMemory : public Memory {
 public:
  struct Statistics {
    int64_t system_allocations = 0;  // requests that the cache could not serve
    int64_t bytes_reserved = 0;      // taken from the system and not given back
    int64_t bytes_in_use = 0;        // held by tensors now
    int64_t peak_bytes_in_use = 0;
  };

  // Which of several free blocks serves next: the one freed last, whose contents are in the caches; or that
  // with the lowest address, so that a step that starts with the same blocks free gets the same addresses.
  enum class Reuse : uint8_t { latest, lowest };

  explicit CachingMemory(Reuse reuse = Reuse::latest) : reuse_(reuse) {}
  Block& allocate(size_t bytes) final;
  void deallocate(Block& block) noexcept final;

  Statistics statistics() const;
  void trim() final;

 protected:
  // From the system and back; 0 when it has none. Aligned to 64 bytes.
  virtual uintptr_t acquire(size_t bytes) = 0;
  virtual void give_back(uintptr_t address, size_t bytes) noexcept = 0;

 private:
  // Blocks of one size.
  struct Bin {
    std::vector<Block*>
        free;           // the next to serve last; capacity for all, so that giving back never allocates
    size_t blocks = 0;  // free or in use
  };

  void release_cached();

  const Reuse reuse_;
  mutable std::mutex mutex_;
  std::map<size_t, Bin> bins_;  // by size, after rounding up
  Statistics statistics_;
};

class HostMemory final : public CachingMemory {
 public:
  ~HostMemory() override { trim(); }
  Place place() const override { return {}; }

 private:
  uintptr_t acquire(size_t bytes) override;
  void give_back(uintptr_t address, size_t bytes) noexcept override;
};

// The memory of everything that lives on the host: one for the process, so that the backends share it.
HostMemory& host_memory();

}  // namespace tstitch
