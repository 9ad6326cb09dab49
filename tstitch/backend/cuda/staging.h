// The way from the host's memory, where pages move, to a device's, which copies from pages that do not.
#pragma once

#include <array>
#include <cstddef>

#include "tstitch/backend/cuda/runtime.h"

namespace tstitch::cuda {

// A ring of pinned segments that are filled one after the other, small uploads side by side and large ones in
// pieces. A segment is filled anew once the device has copied what was in it, so that the next piece of
// a large upload is read while the one before is on its way.
class Staging {
 public:
  Staging(int device, cudaStream_t stream);

  // Queues a copy of bytes that have been read when this returns.
  void upload(std::byte* to, const std::byte* from, size_t bytes);

 private:
  static constexpr size_t kSegment = size_t{4} << 20;
  static constexpr size_t kSegments = 4;

  void next_segment();

  int device_;
  cudaStream_t stream_;
  PinnedMemory memory_;
  std::array<Event, kSegments> copied_;  // once the segment has been copied
  size_t segment_ = 0, used_ = 0;
};

}  // namespace tstitch::cuda
