#define TSTITCH_ISA avx2
#include "tstitch/backend/cpu/isa/kernels.inl"

namespace tstitch::cpu {
const Kernels kAvx2Kernels = avx2::make_kernels("avx2");
}
