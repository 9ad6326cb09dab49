#include "tstitch/backend/cuda/runtime.h"

#include "tstitch/base/error.h"

namespace tstitch::cuda {

void check_cuda(cudaError_t status, int device, std::string_view call) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // or the next call that is asked for the last error would be told of this one
  fail(ErrorKind::device, "cuda:", device, ": ", call, ": ", cudaGetErrorName(status), ", ",
       cudaGetErrorString(status));
}

}  // namespace tstitch::cuda
