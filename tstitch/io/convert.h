#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "tstitch/tensor/block_type.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch {

// Fills `to` (contiguous, f32, bf16 or f16) from as many little-endian elements of type f32, bf16, f16 or f64
// at any address, rounding once to nearest even where `to` is narrower. Returns how many elements of `to` are
// NaN or infinite, those included that were too large for its type.
int64_t convert_elements(std::span<const std::byte> from, DType from_type, Tensor& to);

// The same from as many elements in blocks. Each run of `to.elements() / scales.size()` of them is multiplied
// with its scale in f32, before it is rounded; without scales they stay as they are. A run is a whole number
// of blocks.
int64_t convert_blocks(std::span<const std::byte> from, const BlockType& type, std::span<const float> scales,
                       Tensor& to);

// `values` (f32) as `dtype`, rounded once. Throws Error{input} [MODEL_NONFINITE] naming both where some are
// or become no finite numbers. path: of the file that made them what they are; name: of the tensor.
Tensor rounded(const Tensor& values, DType dtype, const std::string& path, const std::string& name);

// Whether convert_elements reads this type.
bool is_floating(DType dtype);

}  // namespace tstitch
