// Runs the blocks of a kernel (tstitch/backend/cuda/block.h) on the host: every lane is a fiber, so that
// barriers and shuffles really meet, and sums have the device's order.
//
// Kernels that are compiled with -fsanitize=thread are checked as by racecheck, and global memory too: to
// TSan every lane is a thread, and only what orders lanes on a device orders them, a launch's begin and end
// and the barriers of a block. This file and fiber.cpp are then compiled without it, with
// TSTITCH_KERNELS_UNDER_TSAN.
#pragma once

#include <cstdint>

#include "tstitch/backend/cuda/block.h"

namespace tstitch::cuda {

// In which order lanes, and elements of kernels without lanes, take their turns. A result that depends on it
// is a race.
enum class LaneOrder : uint8_t { forward, backward, mixed };
void set_lane_order(LaneOrder order);
int64_t turn(int64_t i, int64_t count);  // who has the i-th turn

// body(kernel, block) once for each of `lanes` lanes of `count` blocks, whose scratch has `scratch` floats
// each, NaN at first. Throws std::logic_error when some lanes wait where others never come.
void run_blocks(int64_t count, int lanes, int scratch, void (*body)(const void*, const Block&),
                const void* kernel);

}  // namespace tstitch::cuda
