#pragma once

#include <cstdint>
#include <string>

#include "tstitch/backend/backend.h"

namespace tstitch {

// What times depend on beside the runs: the machine, threads, and images in a batch.
std::string describe_timing(const Backend& backend, int64_t batch_size);

}  // namespace tstitch
