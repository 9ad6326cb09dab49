// Objects of the CUDA runtime that end themselves, and its errors.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <string_view>

namespace tstitch::cuda {

// Throws Error{device}, "cuda:0: cudaMemcpyAsync: cudaErrorIllegalAddress, an illegal memory access was
// encountered", unless the call ended well.
void check_cuda(cudaError_t status, int device, std::string_view call);

template <auto end>
struct Ends {
  template <class T>
  void operator()(T* object) const {
    end(object);
  }
};

using Stream = std::unique_ptr<CUstream_st, Ends<cudaStreamDestroy>>;
using Event = std::unique_ptr<CUevent_st, Ends<cudaEventDestroy>>;
using RecordedGraph = std::unique_ptr<CUgraph_st, Ends<cudaGraphDestroy>>;
using ExecutableGraph = std::unique_ptr<CUgraphExec_st, Ends<cudaGraphExecDestroy>>;
using PinnedMemory = std::unique_ptr<std::byte, Ends<cudaFreeHost>>;

}  // namespace tstitch::cuda
