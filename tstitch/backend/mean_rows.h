#pragma once

#include <cstdint>
#include <span>

#include "tstitch/tensor/tensor.h"

namespace tstitch {

// Row `to` of out becomes the mean of these rows of x, summed in f32 in their order. Both f32 or both bf16,
// on the host; x may be strided.
void mean_of_rows(const Tensor& x, std::span<const int64_t> rows, Tensor& out, int64_t to);

}  // namespace tstitch
