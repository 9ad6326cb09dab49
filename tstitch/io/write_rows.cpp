#include "tstitch/io/write_rows.h"

namespace tstitch {

void write_rows(AtomicFile& file, const Tensor& tensor) {
  const int64_t element = size_of(tensor.dtype());
  const int64_t rows = tensor.is_contiguous() ? 1 : tensor.rows();
  const auto bytes = static_cast<size_t>(tensor.elements() / rows * element);
  for (int64_t i = 0; i < rows; ++i) file.write({tensor.bytes() + i * tensor.row_stride() * element, bytes});
}

}  // namespace tstitch
