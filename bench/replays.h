#pragma once

#include <string>

#include "tstitch/backend/backend.h"
#ifdef TSTITCH_WITH_CUDA
#include "tstitch/backend/cuda/cuda_backend.h"
#include "tstitch/base/error.h"
#endif

namespace tstitch {

// How many repeated stretches of work a device did call by call, recorded, replayed, and could not record,
// for a line of JSON: ", \"called\": 1, ..."; nothing of a backend that has none.
inline std::string replays([[maybe_unused]] const Backend& backend) {
#ifdef TSTITCH_WITH_CUDA
  if (const auto* cuda = dynamic_cast<const CudaBackend*>(&backend)) {
    const auto [called, captured, replayed, refused] = cuda->recorder().statistics();
    return concat(", \"called\": ", called, ", \"captured\": ", captured, ", \"replayed\": ", replayed,
                  ", \"refused\": ", refused);
  }
#endif
  return "";
}

}  // namespace tstitch
