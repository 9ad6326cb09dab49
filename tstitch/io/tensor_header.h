// What the writers of checkpoints are given.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tstitch/base/function_ref.h"
#include "tstitch/io/atomic_file.h"

namespace tstitch {

// A tensor to write, without its elements.
struct TensorHeader {
  std::string dtype_name;  // any of the format: "F32", "F8_E4M3", "Q4_0"
  std::vector<int64_t> shape;
};

// Appends the elements of a tensor to the file, row-major; false gives the whole file up.
using WriteElements = FunctionRef<bool(const std::string& name, AtomicFile& file)>;

}  // namespace tstitch
