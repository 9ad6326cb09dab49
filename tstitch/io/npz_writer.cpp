#include "tstitch/io/npz_writer.h"

#include "tstitch/base/error.h"
#include "tstitch/io/atomic_file.h"
#include "tstitch/io/npy.h"
#include "tstitch/io/zip_writer.h"

namespace tstitch {

NpzEntry npz_entry(const std::string& name, const Tensor& tensor) {
  check_internal(tensor.dtype() == DType::f32 && tensor.is_contiguous(), "array \"", name, "\" of type ",
                 name_of(tensor.dtype()));
  std::vector<int64_t> shape;
  for (int i = 0; i < tensor.shape().rank(); ++i) shape.push_back(tensor.extent(i));
  return {name, "<f4", shape, {tensor.bytes(), static_cast<size_t>(tensor.elements()) * sizeof(float)}};
}

NpzEntry npz_entry(const std::string& name, std::span<const double> values, std::vector<int64_t> shape) {
  return {name, "<f8", std::move(shape), std::as_bytes(values)};
}

void write_npz(const std::string& path, std::span<const NpzEntry> entries) {
  AtomicFile file(path);
  ZipWriter zip(file);
  for (const NpzEntry& entry : entries) {
    const std::string header = npy_header(entry.descr, entry.shape);
    zip.begin(entry.name + ".npy", header.size() + entry.bytes.size());
    zip.write(std::as_bytes(std::span(header)));
    zip.write(entry.bytes);
  }
  zip.finish();
  file.commit();
}

}  // namespace tstitch
