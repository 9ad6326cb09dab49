#pragma once

#include "tstitch/backend/cpu/kernels.h"

namespace tstitch::cpu {

// The kernels of the best instruction set this machine has, or of the one that the environment variable
// TSTITCH_CPU_ISA names. Throws Error{usage} when that one is unknown or not there.
const Kernels& best_kernels();

// Whether the machine multiplies bf16 faster than f32.
bool has_bf16_products();

}  // namespace tstitch::cpu
