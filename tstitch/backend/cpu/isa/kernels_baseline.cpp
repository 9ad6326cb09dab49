#define TSTITCH_ISA baseline
#include "tstitch/backend/cpu/isa/kernels.inl"

namespace tstitch::cpu {
const Kernels kBaselineKernels = baseline::make_kernels("baseline");
}
