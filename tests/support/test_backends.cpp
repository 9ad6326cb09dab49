#include "test_backends.h"

#include <cstdlib>

#if defined(__x86_64__)
#include "cuda_host/host_twin.h"
#include "tstitch/backend/cuda/cuda_backend.h"
#endif

namespace tstitch {
namespace {

const char* named_device() { return std::getenv("TSTITCH_TEST_DEVICE"); }

std::vector<std::string> device_names() {
  if (const char* device = named_device()) return {device};
#if defined(__x86_64__)
  return {"twin"};
#else
  return {};
#endif
}

}  // namespace

std::vector<Precision> test_devices() {
  std::vector<Precision> devices;
  for (const std::string& name : device_names()) devices.push_back({name, "f32", 1e-5});
  return devices;
}

std::vector<Precision> test_precisions(double bf16) {
  std::vector<Precision> precisions;
  if (!named_device()) precisions = {{"reference", "f32", 1e-5}, {"cpu", "f32", 1e-5}, {"cpu", "bf16", bf16}};
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
