// launch.h for programs that know one kind of device: a kernel's type is nothing but an address. Where the
// tests' twin lies in a program beside CUDA, the types are the twin's.
#include "tstitch/backend/cuda/instances.h"
#include "tstitch/backend/cuda/launch.h"

namespace tstitch::cuda {

struct KernelType {};

#define TSTITCH_INSTANCE(Kernel)            \
  template <>                               \
  const KernelType* kernel_type<Kernel>() { \
    static constexpr KernelType type;       \
    return &type;                           \
  }
TSTITCH_INDEX_KERNELS(TSTITCH_INSTANCE)
TSTITCH_BLOCK_KERNELS(TSTITCH_INSTANCE)
#undef TSTITCH_INSTANCE

}  // namespace tstitch::cuda
