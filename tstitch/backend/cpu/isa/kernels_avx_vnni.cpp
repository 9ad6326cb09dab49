#define TSTITCH_ISA avx_vnni
#include "tstitch/backend/cpu/isa/kernels.inl"

namespace tstitch::cpu {
const Kernels kAvxVnniKernels = avx_vnni::make_kernels("avx_vnni");
}
