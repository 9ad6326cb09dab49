#define TSTITCH_ISA avx512_bf16
#include "tstitch/backend/cpu/isa/kernels.inl"

namespace tstitch::cpu {
const Kernels kAvx512Bf16Kernels = avx512_bf16::make_kernels("avx512_bf16");
}
