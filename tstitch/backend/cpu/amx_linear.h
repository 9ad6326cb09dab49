#pragma once

#include <memory>

#include "tstitch/backend/cpu/linear.h"

namespace tstitch::cpu {

// A bf16 weight (M, K) multiplied by AMX tiles or, slowly, by their emulation. b: (M) or empty.
std::unique_ptr<Linear> make_amx_linear(bool emulated, const Kernels& kernels, int threads, const Tensor& w,
                                        const Tensor& b);

}  // namespace tstitch::cpu
