#define TSTITCH_ISA avx512
#define TSTITCH_ISA_NAME "avx512"
#define TSTITCH_WIDTH 16
#include "tstitch/backend/cpu/kernels_impl.h"

namespace tstitch::cpu {

const Kernels& avx512_kernels() { return avx512::kKernels; }

}  // namespace tstitch::cpu
