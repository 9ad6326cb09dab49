#define TSTITCH_ISA avx512_bf16
#define TSTITCH_ISA_NAME "avx512_bf16"
#define TSTITCH_WIDTH 16
#include "tstitch/backend/cpu/kernels_impl.h"

namespace tstitch::cpu {

const Kernels& avx512_bf16_kernels() { return avx512_bf16::kKernels; }

}  // namespace tstitch::cpu
