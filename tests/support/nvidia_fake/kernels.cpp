// launch.cu on the host: lanes are fibers (lanes.h).
#include <cstring>
#include <memory>

#include "cudart.h"
#include "tests/support/cuda_host/lanes.h"
#include "tstitch/backend/cuda/cuda_kernel.h"
#include "tstitch/backend/cuda/instances.h"
#include "tstitch/backend/cuda/launch.h"

namespace tstitch::cuda {
namespace {

template <class Kernel>
std::function<void()> run_kernel_indices(const cudaLaunchConfig_t& config, void** arguments) {
  const Kernel kernel = *static_cast<const Kernel*>(arguments[0]);
  const int64_t count = *static_cast<const int64_t*>(arguments[1]);
  const int64_t lanes = int64_t{config.gridDim.x} * config.blockDim.x;
  return [=] {
    for (int64_t lane = 0; lane < lanes; ++lane)
      for (int64_t i = lane; i < count; i += lanes) kernel(i);
  };
}

template <class Kernel>
std::function<void()> run_kernel_blocks(const cudaLaunchConfig_t& config, void** arguments) {
  const Kernel kernel = *static_cast<const Kernel*>(arguments[0]);
  const auto body = [](const void* k, const Block& block) { (*static_cast<const Kernel*>(k))(block); };
  return [=, blocks = int64_t{config.gridDim.x}, lanes = static_cast<int>(config.blockDim.x),
          scratch = static_cast<int>(config.dynamicSmemBytes / sizeof(float))] {
    run_blocks(blocks, lanes, scratch, body, &kernel);
  };
}

template <class Function>
const void* address(Function* function) {
  return reinterpret_cast<const void*>(function);
}

}  // namespace

CudaKernel cuda_kernel(const void* kernel) {
#define TSTITCH_INDEX(Kernel) \
  if (kernel == &kKernel<Kernel> || !kernel) return {address(&run_kernel_indices<Kernel>), kIndexLanes};
  TSTITCH_INDEX_KERNELS(TSTITCH_INDEX)
#undef TSTITCH_INDEX
#define TSTITCH_BLOCK(Kernel) \
  if (kernel == &kKernel<Kernel>) return {address(&run_kernel_blocks<Kernel>), most_lanes<Kernel>()};
  TSTITCH_BLOCK_KERNELS(TSTITCH_BLOCK)
#undef TSTITCH_BLOCK
  return {};
}

}  // namespace tstitch::cuda
