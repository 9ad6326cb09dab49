#pragma once

#include "tstitch/backend/cuda/device.h"

namespace tstitch::cuda {

// How the CUDA runtime launches a kernel.
struct CudaKernel {
  const void* function;  // __global__; of an index: (kernel, count), of a block: (kernel)
  int lanes;             // of a block at most; of an index: of every block
};

// The one that launch.h named in a Launch; function null: none. Without a name, any.
CudaKernel cuda_kernel(const void* kernel = nullptr);

}  // namespace tstitch::cuda
