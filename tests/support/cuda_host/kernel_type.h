#pragma once

#include "tstitch/backend/cuda/device.h"

namespace tstitch::cuda {

// What the twin knows of a kernel.
struct KernelType {
  void (*run)(const Launch&);
};

}  // namespace tstitch::cuda
