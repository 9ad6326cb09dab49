// The kernels as nvcc compiles them: all that does is here.
#include <algorithm>

#include "tstitch/backend/cuda/block.h"
#include "tstitch/backend/cuda/instances.h"
#include "tstitch/backend/cuda/kernel_launch.h"
#include "tstitch/backend/cuda/launch.h"

namespace tstitch::cuda {
namespace {

constexpr int kIndexLanes = 256;
constexpr int64_t kMostIndexBlocks = 1
                                     << 15;  // many times what a GPU holds at once; then each lane takes more

template <class Kernel>
__global__ void __launch_bounds__(kIndexLanes)
    run_indices(const __grid_constant__ Kernel kernel, int64_t count) {
  const int64_t lanes = int64_t{gridDim.x} * kIndexLanes;
  for (int64_t i = int64_t{blockIdx.x} * kIndexLanes + threadIdx.x; i < count; i += lanes) kernel(i);
}

template <class Kernel>
__global__ void __launch_bounds__(kMostLanes) run_blocks(const __grid_constant__ Kernel kernel) {
  kernel(Block{});
}

__global__ void run_nothing() {}

// What an API of pointers to arguments takes them as.
template <class T>
void* argument(const T& x) {
  return const_cast<T*>(&x);
}

}  // namespace

template <class Kernel>
void launch(Device& device, int64_t count, const Kernel& kernel) {
  if (count <= 0) return;
  void* arguments[] = {argument(kernel), argument(count)};
  queue(device, {.function = reinterpret_cast<const void*>(&run_indices<Kernel>),
                 .blocks = std::min((count - 1) / kIndexLanes + 1, kMostIndexBlocks),
                 .lanes = kIndexLanes,
                 .scratch = 0,
                 .arguments = arguments});
}

template <class Kernel>
void launch_blocks(Device& device, int64_t rows, int lanes, int scratch, const Kernel& kernel) {
  if (rows <= 0) return;
  void* arguments[] = {argument(kernel)};
  queue(device, {.function = reinterpret_cast<const void*>(&run_blocks<Kernel>),
                 .blocks = rows,
                 .lanes = lanes,
                 .scratch = static_cast<size_t>(scratch) * sizeof(float),
                 .arguments = arguments});
}

const void* any_kernel() { return reinterpret_cast<const void*>(&run_nothing); }

#define TSTITCH_INSTANTIATE(Kernel) template void launch(Device&, int64_t, const Kernel&);
TSTITCH_INDEX_KERNELS(TSTITCH_INSTANTIATE)
#undef TSTITCH_INSTANTIATE
#define TSTITCH_INSTANTIATE(Kernel) template void launch_blocks(Device&, int64_t, int, int, const Kernel&);
TSTITCH_BLOCK_KERNELS(TSTITCH_INSTANTIATE)
#undef TSTITCH_INSTANTIATE

}  // namespace tstitch::cuda
