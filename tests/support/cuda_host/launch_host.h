#pragma once

#include "tstitch/backend/cuda/device.h"

namespace tstitch::cuda {

// How the twin runs a kernel: now, with the lanes of lanes.h.
void run_on_host(const Launch& launch);

}  // namespace tstitch::cuda
