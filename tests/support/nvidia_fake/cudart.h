// What a test says of the machine that cudart.cpp stands for.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>

namespace tstitch::fake {

struct Machine {
  cudaError_t status = cudaSuccess;  // what asking for devices answers
  int devices = 1, major = 9;
  cudaError_t kernels = cudaSuccess;  // what asking for a kernel answers
  size_t memory = size_t{1} << 30;    // that is left
  size_t pool = 0;                    // freed, and given back when the pool is trimmed
  std::map<void*, size_t> blocks;     // allocated, with their bytes
  uint64_t release_threshold = 0;     // of the pool: what it keeps when the host waits
  size_t allowed_scratch = 0;
};
extern Machine machine;

// What a __global__ function is here: copies its arguments and returns the work.
using Kernel = std::function<void()> (*)(const cudaLaunchConfig_t& config, void** arguments);

}  // namespace tstitch::fake
