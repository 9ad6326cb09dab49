#pragma once

#include "tstitch/backend/cuda/device.h"

namespace tstitch::cuda {

// What the CUDA runtime knows of a kernel: launch.cu's.
struct KernelType {
  const void* function;  // __global__; of an index: (kernel, count), of a block: (kernel)
  int lanes;             // of a block at most; 0: a kernel of an index
};

// Of a kernel that launch.h names.
const KernelType& kernel_type(const void* kernel);

constexpr int kIndexLanes = 256;  // of a block, for kernels of an index

// A __global__ function, to ask whether the program was built for a device (any_kernel.cu).
const void* any_kernel();

}  // namespace tstitch::cuda
