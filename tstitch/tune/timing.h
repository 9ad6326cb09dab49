#pragma once

#include <cstdint>
#include <string>

#include "tstitch/backend/backend.h"

namespace tstitch {

// What times depend on beside the runs: the machine, threads, and images in a batch.
std::string describe_timing(const Backend& backend, int64_t batch_size);

// What the time of an autoencoder depends on beside these: names, types and shapes of its tensors, as
// "248 tensors, crc32 0123abcd"; "" for no path. Throws Error{input} as open_weights.
std::string describe_autoencoder(const std::string& path);

}  // namespace tstitch
