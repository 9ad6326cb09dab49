// The GPUs of this machine as Devices. Includes no header of CUDA's.
#pragma once

#include <memory>

#include "tstitch/backend/cuda/device.h"

namespace tstitch::cuda {

// How many there are, numbered from 0. Throws Error{device} where NVIDIA's driver is missing or too old.
int cuda_device_count();

// Opens a device, cuBLASLt and cuDNN. Throws Error{device} for a number that is not there, a device of
// compute capability below 8.0 or none that this program was built for, and a library that is missing or too
// old. All calls of the device may come from any thread, one after the other.
std::unique_ptr<Device> make_cuda_device(int number);

}  // namespace tstitch::cuda
