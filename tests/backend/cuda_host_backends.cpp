#include "backends.h"
#include "cuda_devices.h"
#include "tests/support/cuda_host/host_twin.h"
#include "tests/support/through_device.h"
#include "tstitch/backend/cuda/cuda_backend.h"

namespace tstitch {

std::vector<std::unique_ptr<Backend>> tested_backends(DType dtype, int) {
  std::vector<std::unique_ptr<Backend>> backends;
  for (const auto order : {cuda::LaneOrder::forward, cuda::LaneOrder::backward, cuda::LaneOrder::mixed})
    backends.push_back(std::make_unique<ThroughDevice>(
        std::make_unique<CudaBackend>(std::make_unique<cuda::HostTwin>(order), dtype)));
  return backends;
}

std::unique_ptr<cuda::Device> cuda::tested_device() { return std::make_unique<HostTwin>(); }

// Biases of order 1 and, before they are gated and added, results of order 10 are rounded to 8 bits.
Tolerance rounding_of_sums(DType compute_dtype) {
  return compute_dtype == DType::bf16 ? Tolerance{1. / 32, 1. / 128} : Tolerance{0, 0};
}

}  // namespace tstitch
