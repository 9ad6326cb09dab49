#include "tstitch/io/write_rows.h"

namespace tstitch {

void write_rows(AtomicFile& file, const Tensor& tensor) {
  const int64_t element = size_of(tensor.dtype());
  const bool dense = tensor.is_contiguous();
  const int64_t rows = dense ? 1 : tensor.rows();
  const auto bytes = static_cast<size_t>((dense ? tensor.elements() : tensor.columns()) * element);
  for (int64_t i = 0; i < rows; ++i) file.write({tensor.bytes() + i * tensor.row_stride() * element, bytes});
}

}  // namespace tstitch
