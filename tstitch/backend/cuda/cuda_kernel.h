#pragma once

#include "tstitch/backend/cuda/block.h"
#include "tstitch/backend/cuda/device.h"

namespace tstitch::cuda {

// Of every block of a kernel of an index.
constexpr int kIndexLanes = 256;

// With how many lanes a block may come, which bounds their registers: other than 256 if a kernel says its
// warps.
template <class Kernel>
constexpr int most_lanes() {
  if constexpr (requires { Kernel::kWarps; })
    return Kernel::kWarps * kWarp;
  else
    return 256;
}

// How the CUDA runtime launches a kernel.
struct CudaKernel {
  const void* function;  // __global__; of an index: (kernel, count), of a block: (kernel)
  int lanes;             // of a block at most; of an index: of every block
};

// The one that launch.h named in a Launch; function null: none. Without a name, any.
CudaKernel cuda_kernel(const void* kernel = nullptr);

}  // namespace tstitch::cuda
