// Types of fewer bits, which only files have: elements in blocks, each block with its scales.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tstitch {

struct BlockType {
  std::string_view name;    // as GGUF and safetensors call it: "Q4_K", "F8_E4M3"
  int64_t elements, bytes;  // of a block
  // Fills `to` with the elements of as many blocks, in f32; NaN and infinity where a scale is.
  void (*decode)(const std::byte* from, int64_t blocks, float* to);
  // The inverse, rounded, of finite elements; null where nothing here writes the type. Returns the number of
  // blocks whose elements are too large for it.
  int64_t (*encode)(const float* from, int64_t blocks, std::byte* to);
};

// Q8_0, Q4_0, Q4_1, Q5_0, Q5_1 and Q2_K to Q6_K of ggml, bit for bit as its Python package gguf decodes and
// encodes them (gguf/quants.py, 0.19); F8_E4M3, F8_E5M2 (Micikevicius et al. 2022, arXiv 2209.05433, as
// torch.float8_e4m3fn and float8_e5m2) and I8, of which a block is one element. Null for any other name.
const BlockType* find_block_type(std::string_view name);

}  // namespace tstitch
