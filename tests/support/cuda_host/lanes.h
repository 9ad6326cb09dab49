// Runs the blocks of a kernel (tstitch/backend/cuda/block.h) on the host: every lane is a fiber, so that
// barriers and shuffles really meet, and sums have the device's order.
#pragma once

#include <cstdint>

#include "tstitch/backend/cuda/block.h"

namespace tstitch::cuda {

// In which order lanes, and elements of kernels without lanes, take their turns. A result that depends on it
// is a race.
enum class LaneOrder : uint8_t { forward, backward, mixed };
void set_lane_order(LaneOrder order);
int64_t turn(int64_t i, int64_t count);  // who has the i-th turn

// body(kernel, block) once for each of `lanes` lanes of block `row`, whose scratch has `scratch` floats, NaN
// at first. Throws std::logic_error when some lanes wait where others never come.
void run_block(int64_t row, int lanes, int scratch, void (*body)(const void*, const Block&),
               const void* kernel);

}  // namespace tstitch::cuda
