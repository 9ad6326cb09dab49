#include "launch_host.h"

#include <map>

#include "lanes.h"
#include "tstitch/backend/cuda/instances.h"
#include "tstitch/backend/cuda/launch.h"

namespace tstitch::cuda {
namespace {

template <class Kernel>
void run_kernel_indices(const Launch& launch) {
  const Kernel& kernel = *reinterpret_cast<const Kernel*>(launch.parameters.data());
  for (int64_t i = 0; i < launch.count; ++i) kernel(turn(i, launch.count));
}

template <class Kernel>
void run_kernel_blocks(const Launch& launch) {
  const auto body = [](const void* kernel, const Block& block) {
    (*static_cast<const Kernel*>(kernel))(block);
  };
  run_blocks(launch.count, launch.lanes, launch.scratch, body, launch.parameters.data());
}

}  // namespace

void run_on_host(const Launch& launch) {
  static const std::map<const void*, void (*)(const Launch&)> kernels = {
#define TSTITCH_INSTANCE(Kernel) {&kKernel<Kernel>, run_kernel_indices<Kernel>},
      TSTITCH_INDEX_KERNELS(TSTITCH_INSTANCE)
#undef TSTITCH_INSTANCE
#define TSTITCH_INSTANCE(Kernel) {&kKernel<Kernel>, run_kernel_blocks<Kernel>},
          TSTITCH_BLOCK_KERNELS(TSTITCH_INSTANCE)
#undef TSTITCH_INSTANCE
  };
  kernels.at(launch.kernel)(launch);
}

}  // namespace tstitch::cuda
