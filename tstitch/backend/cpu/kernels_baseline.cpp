#define TSTITCH_ISA baseline
#define TSTITCH_ISA_NAME "baseline"
#define TSTITCH_WIDTH 4
#include "tstitch/backend/cpu/kernels_impl.h"

namespace tstitch::cpu {

const Kernels& baseline_kernels() { return baseline::kKernels; }

}  // namespace tstitch::cpu
