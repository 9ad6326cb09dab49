#pragma once

#include <memory>

#include "tstitch/backend/cpu/linear.h"

namespace tstitch::cpu {

// A weight (M, K), bf16 or the values of `int8`, multiplied by AMX tiles or, slowly, by their emulation. b:
// (M) or empty.
std::unique_ptr<Linear> make_amx_linear(bool emulated, const Kernels& kernels, int threads, const Tensor& w,
                                        const Tensor& b, const Int8Weight& int8 = {});

}  // namespace tstitch::cpu
