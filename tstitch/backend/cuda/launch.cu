// launch.h for CUDA: the kernels as nvcc compiles them.
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

// With how many lanes a block may come, which bounds their registers: other than 256 if a kernel says its
// warps. That one block of them shall fit is no more than that; where it is not said, ptxas spills registers
// for the sake of more.
template <class Kernel>
constexpr int most_lanes() {
  if constexpr (requires { Kernel::kWarps; })
    return Kernel::kWarps * kWarp;
  else
    return 256;
}

template <class Kernel>
__global__ void __launch_bounds__(most_lanes<Kernel>(), 1) run_blocks(const __grid_constant__ Kernel kernel) {
  kernel(Block{});
}

}  // namespace

#define TSTITCH_INSTANCE(Kernel)                                                             \
  template <>                                                                                \
  const KernelType* kernel_type<Kernel>() {                                                  \
    static const KernelType type = {reinterpret_cast<const void*>(&run_indices<Kernel>), 0}; \
    return &type;                                                                            \
  }
TSTITCH_INDEX_KERNELS(TSTITCH_INSTANCE)
#undef TSTITCH_INSTANCE
#define TSTITCH_INSTANCE(Kernel)                                                        \
  template <>                                                                           \
  const KernelType* kernel_type<Kernel>() {                                             \
    static const KernelType type = {reinterpret_cast<const void*>(&run_blocks<Kernel>), \
                                    most_lanes<Kernel>()};                              \
    return &type;                                                                       \
  }
TSTITCH_BLOCK_KERNELS(TSTITCH_INSTANCE)
#undef TSTITCH_INSTANCE

}  // namespace tstitch::cuda
