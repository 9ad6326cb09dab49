// The backends that networks are compared on with their goldens.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tstitch/backend/backend.h"

namespace tstitch {

// A backend and how far from the golden its results may be.
struct Precision {
  std::string device, dtype;
  double relative;
};

// reference and cpu in f32, cpu in bf16, and the CUDA backend on its twin ("twin", where fibers are written
// for the processor); or only the device that TSTITCH_TEST_DEVICE names, "cuda:0". In f32 at most 1e-5 off,
// in bf16 `bf16`.
std::vector<Precision> test_precisions(double bf16 = 3e-2);

// Of those, devices, in f32.
std::vector<Precision> test_devices();

// make_backend, which also knows the twin.
std::unique_ptr<Backend> test_backend(const Precision& precision);

}  // namespace tstitch
