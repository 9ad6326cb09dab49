// launch.h for the twin: how it runs each kernel.
#include "kernel_type.h"
#include "lanes.h"
#include "tstitch/backend/cuda/instances.h"
#include "tstitch/backend/cuda/launch.h"

namespace tstitch::cuda {
namespace {

template <class Kernel>
void run_indices(const Launch& launch) {
  const Kernel& kernel = *reinterpret_cast<const Kernel*>(launch.parameters.data());
  for (int64_t i = 0; i < launch.count; ++i) kernel(turn(i, launch.count));
}

template <class Kernel>
void run_blocks(const Launch& launch) {
  const auto body = [](const void* kernel, const Block& block) {
    (*static_cast<const Kernel*>(kernel))(block);
  };
  for (int64_t i = 0; i < launch.count; ++i)
    run_block(turn(i, launch.count), launch.lanes, launch.scratch, body, launch.parameters.data());
}

}  // namespace

#define TSTITCH_INSTANCE(Kernel)                              \
  template <>                                                 \
  const KernelType* kernel_type<Kernel>() {                   \
    static constexpr KernelType type = {run_indices<Kernel>}; \
    return &type;                                             \
  }
TSTITCH_INDEX_KERNELS(TSTITCH_INSTANCE)
#undef TSTITCH_INSTANCE
#define TSTITCH_INSTANCE(Kernel)                             \
  template <>                                                \
  const KernelType* kernel_type<Kernel>() {                  \
    static constexpr KernelType type = {run_blocks<Kernel>}; \
    return &type;                                            \
  }
TSTITCH_BLOCK_KERNELS(TSTITCH_INSTANCE)
#undef TSTITCH_INSTANCE

}  // namespace tstitch::cuda
