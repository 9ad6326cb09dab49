#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "tstitch/tensor/tensor.h"

namespace tstitch {

// An array of an archive, in C order; the elements must outlive it.
struct NpzEntry {
  std::string name;   // without ".npy"
  std::string descr;  // NumPy's name of the type
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};

NpzEntry npz_entry(const std::string& name, const Tensor& tensor);  // f32, contiguous, on the host
NpzEntry npz_entry(const std::string& name, std::span<const double> values, std::vector<int64_t> shape);

// An uncompressed .npz archive, whole or not at all; throws Error{device} when it cannot be written.
void write_npz(const std::string& path, std::span<const NpzEntry> entries);

}  // namespace tstitch
