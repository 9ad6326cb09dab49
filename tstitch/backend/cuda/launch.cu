// The kernels as nvcc compiles them.
#include "tstitch/backend/cuda/block.h"
#include "tstitch/backend/cuda/cuda_kernel.h"
#include "tstitch/backend/cuda/instances.h"
#include "tstitch/backend/cuda/launch.h"

namespace tstitch::cuda {
namespace {

template <class Kernel>
__global__ void __launch_bounds__(kIndexLanes)
    run_indices(const __grid_constant__ Kernel kernel, int64_t count) {
  const int64_t lanes = int64_t{gridDim.x} * kIndexLanes;
  for (int64_t i = int64_t{blockIdx.x} * kIndexLanes + threadIdx.x; i < count; i += lanes) kernel(i);
}

// That one block shall fit is no more than its lanes say; where it is not said, ptxas spills registers for
// the sake of more.
template <class Kernel>
__global__ void __launch_bounds__(most_lanes<Kernel>(), 1) run_blocks(const __grid_constant__ Kernel kernel) {
  kernel(Block{});
}

struct Entry {
  const void* name;
  CudaKernel kernel;
};

}  // namespace

CudaKernel cuda_kernel(const void* kernel) {
#define TSTITCH_INDEX(Kernel) \
  {&kKernel<Kernel>, {reinterpret_cast<const void*>(&run_indices<Kernel>), kIndexLanes}},
#define TSTITCH_BLOCK(Kernel) \
  {&kKernel<Kernel>, {reinterpret_cast<const void*>(&run_blocks<Kernel>), most_lanes<Kernel>()}},
  static const Entry entries[] = {TSTITCH_INDEX_KERNELS(TSTITCH_INDEX) TSTITCH_BLOCK_KERNELS(TSTITCH_BLOCK)};
#undef TSTITCH_INDEX
#undef TSTITCH_BLOCK
  for (const Entry& entry : entries)
    if (entry.name == kernel || !kernel) return entry.kernel;
  return {};
}

}  // namespace tstitch::cuda
