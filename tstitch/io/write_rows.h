#pragma once

#include "tstitch/io/atomic_file.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch {

// Appends the elements of a host tensor to `file`, row-major and dense, also those of a view with strided
// rows.
void write_rows(AtomicFile& file, const Tensor& tensor);

}  // namespace tstitch
