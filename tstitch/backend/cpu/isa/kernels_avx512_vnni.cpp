#define TSTITCH_ISA avx512_vnni
#include "tstitch/backend/cpu/isa/kernels.inl"

namespace tstitch::cpu {
const Kernels kAvx512VnniKernels = avx512_vnni::make_kernels("avx512_vnni");
}
