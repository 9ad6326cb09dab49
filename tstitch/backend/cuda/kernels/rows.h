// Matrices as kernels see them: rows of f32 or bf16 numbers, read and written as f32.
#pragma once

#include <cstdint>

#include "tstitch/backend/cuda/block.h"
#include "tstitch/tensor/dtype.h"

namespace tstitch::cuda {

// i / divisor and i % divisor; where both fit, in 32 bits, which take a GPU a fraction of the time.
struct Split {
  int64_t quotient, remainder;
};
TSTITCH_DEVICE Split split(int64_t i, int64_t divisor) {
  if (((i | divisor) >> 32) != 0) return {i / divisor, i % divisor};
  const auto small = static_cast<uint32_t>(i), by = static_cast<uint32_t>(divisor);
  return {small / by, small % by};
}

struct Rows {
  void* at;
  int64_t stride;  // elements from one row to the next
  DType dtype;  // f32 or bf16; the same for all threads, so the branch on it costs little beside the memory

  TSTITCH_DEVICE float operator()(int64_t row, int64_t column) const {
    const int64_t i = row * stride + column;
    return dtype == DType::f32 ? static_cast<const float*>(at)[i]
                               : to_float(static_cast<const bfloat16*>(at)[i]);
  }
  TSTITCH_DEVICE void set(int64_t row, int64_t column, float value) const {
    const int64_t i = row * stride + column;
    if (dtype == DType::f32)
      static_cast<float*>(at)[i] = value;
    else
      static_cast<bfloat16*>(at)[i] = to_bfloat16(value);
  }
};

// One of several matrices that are taken as one, in a table in the device's memory.
struct Part {
  Rows rows;
  int64_t end;  // its last row, and one, among the rows of all
};

// The part that holds row `row` of all, and that row's number in it.
struct PlaceInParts {
  const Part* part;
  int64_t row;
};
TSTITCH_DEVICE PlaceInParts find(const Part* parts, int64_t row) {
  const Part* part = parts;
  while (row >= part->end) ++part;
  return {part, part == parts ? row : row - part[-1].end};
}

}  // namespace tstitch::cuda
