#include "tstitch/backend/cuda/kernel_type.h"

namespace tstitch::cuda {
namespace {

__global__ void nothing() {}

}  // namespace

const void* any_kernel() { return reinterpret_cast<const void*>(&nothing); }

}  // namespace tstitch::cuda
