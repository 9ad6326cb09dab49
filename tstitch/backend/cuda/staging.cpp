#include "tstitch/backend/cuda/staging.h"

#include <algorithm>
#include <cstring>

namespace tstitch::cuda {

Staging::Staging(int device, cudaStream_t stream) : device_(device), stream_(stream) {
  void* memory = nullptr;
  check_cuda(cudaMallocHost(&memory, kSegments * kSegment), device_, "cudaMallocHost");
  memory_.reset(static_cast<std::byte*>(memory));
  for (Event& event : copied_) {
    cudaEvent_t made = nullptr;
    check_cuda(cudaEventCreateWithFlags(&made, cudaEventDisableTiming), device_, "cudaEventCreateWithFlags");
    event.reset(made);
  }
}

void Staging::next_segment() {
  check_cuda(cudaEventRecord(copied_[segment_].get(), stream_), device_, "cudaEventRecord");
  segment_ = (segment_ + 1) % kSegments;
  used_ = 0;
  // An event that was never recorded is over.
  check_cuda(cudaEventSynchronize(copied_[segment_].get()), device_, "cudaEventSynchronize");
}

void Staging::upload(std::byte* to, const std::byte* from, size_t bytes) {
  while (bytes > 0) {
    if (used_ == kSegment) next_segment();
    const size_t piece = std::min(bytes, kSegment - used_);
    std::byte* const at = memory_.get() + segment_ * kSegment + used_;
    std::memcpy(at, from, piece);
    check_cuda(cudaMemcpyAsync(to, at, piece, cudaMemcpyHostToDevice, stream_), device_, "cudaMemcpyAsync");
    to += piece;
    from += piece;
    bytes -= piece;
    used_ += piece;
  }
}

}  // namespace tstitch::cuda
