// Makes a Launch of a kernel (block.h). How a device runs it says a table of its own: launch.cu for the CUDA
// runtime, and in the tests launch_host.cpp for the twin on the host. Which kernels there are says
// instances.h.
#pragma once

#include <cstring>
#include <type_traits>

#include "tstitch/backend/cuda/clear_padding.h"
#include "tstitch/backend/cuda/device.h"

namespace tstitch::cuda {

// Its address stands for the kernel.
template <class Kernel>
inline constexpr char kKernel = 0;

template <class Kernel>
Launch launch_of(Kernel kernel) {
  static_assert(std::is_trivially_copyable_v<Kernel> && sizeof(Kernel) <= Launch::kMostBytes);
  clear_padding(kernel);
  Launch launch = {.kernel = &kKernel<Kernel>, .bytes = sizeof kernel};
  std::memcpy(launch.parameters.data(), &kernel, sizeof kernel);
  return launch;
}

// kernel(i) for 0 <= i < count, in any order.
template <class Kernel>
void launch(Device& device, int64_t count, const Kernel& kernel) {
  if (count == 0) return;
  Launch launch = launch_of(kernel);
  launch.count = count;
  device.run(launch);
}

// kernel(block) for `count` blocks of `lanes` lanes, a multiple of 32 up to 1024, with `scratch` numbers of
// their own.
template <class Kernel>
void launch_blocks(Device& device, int64_t count, int lanes, int scratch, const Kernel& kernel) {
  if (count == 0) return;
  Launch launch = launch_of(kernel);
  launch.count = count;
  launch.lanes = lanes;
  launch.scratch = scratch;
  device.run(launch);
}

}  // namespace tstitch::cuda
