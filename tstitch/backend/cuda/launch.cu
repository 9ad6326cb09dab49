// launch.h for CUDA: the kernels as nvcc compiles them.
#include <map>

#include "tstitch/backend/cuda/block.h"
#include "tstitch/backend/cuda/instances.h"
#include "tstitch/backend/cuda/kernel_type.h"
#include "tstitch/backend/cuda/launch.h"

namespace tstitch::cuda {
namespace {

template <class Kernel>
__global__ void __launch_bounds__(kIndexLanes)
    run_indices(const __grid_constant__ Kernel kernel, int64_t count) {
  const int64_t lanes = int64_t{gridDim.x} * kIndexLanes;
  for (int64_t i = int64_t{blockIdx.x} * kIndexLanes + threadIdx.x; i < count; i += lanes) kernel(i);
}

// With how many lanes a block may come, which bounds their registers: a kernel that says its warps gets more.
template <class Kernel>
constexpr int most_lanes() {
  if constexpr (requires { Kernel::kWarps; })
    return Kernel::kWarps * kWarp;
  else
    return kMostLanes;
}

template <class Kernel>
__global__ void __launch_bounds__(most_lanes<Kernel>()) run_blocks(const __grid_constant__ Kernel kernel) {
  kernel(Block{});
}

}  // namespace

const KernelType& kernel_type(const void* kernel) {
  static const std::map<const void*, KernelType> types = {
#define TSTITCH_INSTANCE(Kernel) {&kKernel<Kernel>, {reinterpret_cast<const void*>(&run_indices<Kernel>), 0}},
      TSTITCH_INDEX_KERNELS(TSTITCH_INSTANCE)
#undef TSTITCH_INSTANCE
#define TSTITCH_INSTANCE(Kernel) \
  {&kKernel<Kernel>, {reinterpret_cast<const void*>(&run_blocks<Kernel>), most_lanes<Kernel>()}},
          TSTITCH_BLOCK_KERNELS(TSTITCH_INSTANCE)
#undef TSTITCH_INSTANCE
  };
  return types.at(kernel);
}

}  // namespace tstitch::cuda
