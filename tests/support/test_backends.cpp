#include "test_backends.h"

#include <cstdlib>

#if defined(__x86_64__)
#include "cuda_host/host_twin.h"
#include "tstitch/backend/cuda/cuda_backend.h"
#endif

namespace tstitch {
namespace {

std::vector<std::string> device_names() {
  std::vector<std::string> names;
#if defined(__x86_64__)
  names.push_back("twin");
#endif
  if (const char* device = std::getenv("TSTITCH_TEST_DEVICE")) names.push_back(device);
  return names;
}

}  // namespace

std::vector<Precision> test_devices() {
  std::vector<Precision> devices;
  for (const std::string& name : device_names()) devices.push_back({name, "f32", 1e-5});
  return devices;
}

std::vector<Precision> test_precisions(double bf16) {
  std::vector<Precision> precisions = {
      {"reference", "f32", 1e-5}, {"cpu", "f32", 1e-5}, {"cpu", "bf16", bf16}};
  for (const std::string& name : device_names()) {
    precisions.push_back({name, "f32", 1e-5});
    precisions.push_back({name, "bf16", bf16});
  }
  return precisions;
}

std::unique_ptr<Backend> test_backend(const Precision& precision) {
#if defined(__x86_64__)
  if (precision.device == "twin")
    return std::make_unique<CudaBackend>(std::make_unique<cuda::HostTwin>(), *parse_dtype(precision.dtype));
#endif
  return make_backend({.device = precision.device, .dtype = precision.dtype, .threads = 2});
}

}  // namespace tstitch
