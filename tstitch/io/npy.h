#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tstitch/tensor/tensor.h"

namespace tstitch {

// Arrays in NumPy's .npy format, versions 1 to 3
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).

// A little-endian array of type f2, f4 or f8 in C order as a contiguous f32 tensor, at most six dimensions.
// Throws Error{input} with a code for anything else: NPY_HEADER, NPY_OBJECT, NPY_DTYPE, NPY_FORTRAN,
// NPY_SHAPE, NPY_TRUNCATED, NPY_TRAILING, NPY_NONFINITE (NaN, infinite, or too large for f32).
Tensor read_npy(const std::string& path);

// The same for bytes in memory; `name` stands for the path in messages.
Tensor parse_npy(std::span<const std::byte> bytes, const std::string& name);

// What an .npy file says about itself.
struct NpyHeader {
  DType dtype;  // u8, f16, f32 or f64
  std::vector<int64_t> shape;
  int64_t bytes;        // of all elements
  size_t header_bytes;  // in front of them
};

// No .npy header is longer.
inline constexpr size_t kMaxNpyHeaderBytes = 10'012;

// The header of the .npy file that begins like this; refusals as read_npy's. `bytes` holds
// kMaxNpyHeaderBytes, or the whole file when it is shorter.
NpyHeader parse_npy_header(std::span<const std::byte> bytes, const std::string& name);

// What comes before the elements of an array in C order: the magic bytes, the version, the header. descr:
// NumPy's name of their type, as "<f4". A multiple of 64 bytes, so that the elements can be memory-mapped.
std::string npy_header(std::string_view descr, std::span<const int64_t> shape);

// Writes an f32 tensor, whole or not at all; throws Error{device} when it cannot.
void write_npy(const std::string& path, const Tensor& tensor);

}  // namespace tstitch
