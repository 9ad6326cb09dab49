// The backend tests on a GPU, cuda:0. Without one they are skipped and say why.
#include "backends.h"
#include "cuda_devices.h"
#include "tests/support/through_device.h"
#include "tstitch/backend/cuda/cuda_backend.h"
#include "tstitch/backend/cuda/cuda_device.h"
#include "tstitch/base/error.h"

namespace tstitch {
namespace {

class WithDevice : public testing::Environment {
 public:
  void SetUp() override {
    try {
      std::printf("%s\n", cuda::make_cuda_device(0)->name().c_str());
    } catch (const Error& e) {
      GTEST_SKIP() << "no device: " << e.what();
    }
  }
};
const testing::Environment* const kWithDevice = testing::AddGlobalTestEnvironment(new WithDevice);

}  // namespace

std::unique_ptr<cuda::Device> cuda::tested_device() { return make_cuda_device(0); }

std::vector<std::unique_ptr<Backend>> tested_backends(DType dtype, int) {
  std::vector<std::unique_ptr<Backend>> backends;
  backends.push_back(
      std::make_unique<ThroughDevice>(std::make_unique<CudaBackend>(cuda::tested_device(), dtype)));
  return backends;
}

// Biases of order 1 and, before they are gated and added, results of order 10 are rounded to 8 bits.
Tolerance rounding_of_sums(DType compute_dtype) {
  return compute_dtype == DType::bf16 ? Tolerance{1. / 32, 1. / 128} : Tolerance{0, 0};
}

}  // namespace tstitch
