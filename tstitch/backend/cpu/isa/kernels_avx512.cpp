#define TSTITCH_ISA avx512
#include "tstitch/backend/cpu/isa/kernels.inl"

namespace tstitch::cpu {
const Kernels kAvx512Kernels = avx512::make_kernels("avx512");
}
