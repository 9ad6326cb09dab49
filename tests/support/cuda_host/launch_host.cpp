// launch.h for the twin.
#include "host_twin.h"
#include "lanes.h"
#include "tstitch/backend/cuda/instances.h"
#include "tstitch/backend/cuda/launch.h"
#include "tstitch/base/error.h"

namespace tstitch::cuda {

template <class Kernel>
void launch(Device& device, int64_t count, const Kernel& kernel) {
  dynamic_cast<HostTwin&>(device).queue([count, kernel] {
    for (int64_t i = 0; i < count; ++i) kernel(turn(i, count));
  });
}

template <class Kernel>
void launch_blocks(Device& device, int64_t rows, int lanes, int scratch, const Kernel& kernel) {
  // What every GPU from Ampere on lets one block have.
  check_internal(scratch * sizeof(float) <= 99 << 10, "[launch] ", scratch, " numbers of scratch");
  dynamic_cast<HostTwin&>(device).queue([=] {
    const auto body = [](const void* k, const Block& block) { (*static_cast<const Kernel*>(k))(block); };
    for (int64_t i = 0; i < rows; ++i) run_block(turn(i, rows), lanes, scratch, body, &kernel);
  });
}

#define TSTITCH_INSTANCE(Kernel) template void launch(Device&, int64_t, const Kernel&);
TSTITCH_INDEX_KERNELS(TSTITCH_INSTANCE)
#undef TSTITCH_INSTANCE
#define TSTITCH_INSTANCE(Kernel) template void launch_blocks(Device&, int64_t, int, int, const Kernel&);
TSTITCH_BLOCK_KERNELS(TSTITCH_INSTANCE)
#undef TSTITCH_INSTANCE

}  // namespace tstitch::cuda
