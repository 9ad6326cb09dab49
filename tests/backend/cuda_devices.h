#pragma once

#include <memory>

#include "tstitch/backend/cuda/device.h"

namespace tstitch::cuda {

// A new one of what the test program is about: the twin (cuda_host_backends.cpp), or cuda:0
// (cuda_device_backends.cpp).
std::unique_ptr<Device> tested_device();

}  // namespace tstitch::cuda
