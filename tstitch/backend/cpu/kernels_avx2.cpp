#define TSTITCH_ISA avx2
#define TSTITCH_ISA_NAME "avx2"
#define TSTITCH_WIDTH 8
#include "tstitch/backend/cpu/kernels_impl.h"

namespace tstitch::cpu {

const Kernels& avx2_kernels() { return avx2::kKernels; }

}  // namespace tstitch::cpu
