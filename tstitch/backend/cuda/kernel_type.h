#pragma once

#include "tstitch/backend/cuda/device.h"

namespace tstitch::cuda {

// How the CUDA runtime launches a kernel.
struct CudaKernel {
  const void* function;  // __global__; of an index: (kernel, count), of a block: (kernel)
  int lanes;             // of a block at most; of an index: of every block
};

// The one that is meant by what launch.h wrote into a Launch; function null: none. Without a type, any.
CudaKernel cuda_kernel(const KernelType* type = nullptr);

}  // namespace tstitch::cuda
