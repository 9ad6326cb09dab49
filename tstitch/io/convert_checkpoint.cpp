#include "tstitch/io/convert_checkpoint.h"

#include <map>

#include "tstitch/base/checked.h"
#include "tstitch/base/error.h"
#include "tstitch/io/convert.h"
#include "tstitch/io/extents.h"
#include "tstitch/io/refuse.h"
#include "tstitch/io/safetensors.h"

namespace tstitch {
namespace {

// "F32", "BF16", "F8_E4M3", "C64", not "I64", "U8", "BOOL".
bool is_floating_name(const std::string& name) {
  return name.starts_with("F") || name.starts_with("BF") || name.starts_with("C");
}

}  // namespace

bool convert_checkpoint(const TensorFile& from, const std::string& to, std::optional<DType> dtype,
                        FunctionRef<bool()> proceed) {
  std::map<std::string, TensorHeader> headers;
  for (const auto& [name, info] : from.tensors()) {
    const bool converted = dtype && is_floating_name(info.dtype_name);
    if (converted && !(info.dtype && is_floating(*info.dtype)))
      refuse(from.path(), "ST_DTYPE_UNSUPPORTED", "tensor \"", printable(name), "\": type ", info.dtype_name,
             " does not become ", name_of(*dtype));
    headers[name] = {converted ? std::string(stored_name(*dtype)) : info.dtype_name, info.shape};
  }

  return write_safetensors(to, headers, from.metadata(), [&](const std::string& name, AtomicFile& file) {
    const TensorInfo& info = from.tensors().at(name);
    from.read(name, [&](std::span<const std::byte> bytes) {
      if (headers.at(name).dtype_name == info.dtype_name) return file.write(bytes);
      Tensor tensor({*checked_elements(info.shape)}, *dtype);
      const int64_t non_finite = convert_elements(bytes, *info.dtype, tensor);
      if (non_finite)
        refuse(from.path(), "MODEL_NONFINITE", "tensor \"", printable(name), "\": ", non_finite, " of ",
               tensor.elements(), " elements are NaN, infinite or too large for ", name_of(*dtype));
      file.write({tensor.bytes(), static_cast<size_t>(tensor.elements() * size_of(*dtype))});
    });
    return proceed();
  });
}

}  // namespace tstitch
