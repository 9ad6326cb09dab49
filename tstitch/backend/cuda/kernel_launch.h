// What launch.cu, all that nvcc compiles, and the device have to say to each other.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tstitch/backend/cuda/device.h"

namespace tstitch::cuda {

struct KernelLaunch {
  const void* function;  // __global__
  int64_t blocks;
  int lanes;         // threads of a block
  size_t scratch;    // shared bytes of a block
  void** arguments;  // pointers to those of the function
};

// Queues it on a device that make_cuda_device made. Throws Error{device} for more blocks or scratch than the
// device has.
void queue(Device& device, const KernelLaunch& kernel);

// A __global__ function, to ask whether the program was built for a device.
const void* any_kernel();

}  // namespace tstitch::cuda
