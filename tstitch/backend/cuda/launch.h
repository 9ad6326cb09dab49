// Queues a kernel of ours (block.h) on a device. Defined in launch.cu for the CUDA runtime and in the tests
// for the twin on the host; which kernels there are says instances.h.
#pragma once

#include <cstdint>

#include "tstitch/backend/cuda/device.h"

namespace tstitch::cuda {

// kernel(i) for 0 <= i < count, in any order.
template <class Kernel>
void launch(Device& device, int64_t count, const Kernel& kernel);

// kernel(block) for `rows` blocks of `lanes` lanes, a multiple of 32 up to 1024, with `scratch` floats of
// their own.
template <class Kernel>
void launch_blocks(Device& device, int64_t rows, int lanes, int scratch, const Kernel& kernel);

}  // namespace tstitch::cuda
