#include "tstitch/io/convert_checkpoint.h"

#include <map>

#include "tstitch/base/error.h"
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
    if (dtype && info.companion) continue;  // of what is read into `dtype`
    if (!dtype && !is_stored_type(info.dtype_name))
      refuse(from.path(), "ST_DTYPE_UNSUPPORTED", "tensor \"", printable(name), "\": type ", info.dtype_name,
             ", which safetensors files do not have: it must become f32, bf16 or f16");
    const bool converted = dtype && (info.blocks || is_floating_name(info.dtype_name));
    if (converted && !is_readable(info))
      refuse(from.path(), "ST_DTYPE_UNSUPPORTED", "tensor \"", printable(name), "\": type ", info.dtype_name,
             " does not become ", name_of(*dtype));
    headers[name] = {converted ? std::string(stored_name(*dtype)) : info.dtype_name, info.shape};
  }

  TensorFile::Metadata metadata = from.metadata();
  if (dtype) metadata.erase("_quantization_metadata");  // of 8 bits that are no more
  return write_safetensors(to, headers, metadata, [&](const std::string& name, AtomicFile& file) {
    const TensorInfo& info = from.tensors().at(name);
    if (headers.at(name).dtype_name == info.dtype_name) {
      from.read(name, [&](std::span<const std::byte> bytes) { file.write(bytes); });
    } else {
      Tensor tensor({*checked_elements(info.shape)}, *dtype);
      from.load_into(name, tensor);
      file.write({tensor.bytes(), static_cast<size_t>(tensor.elements() * size_of(*dtype))});
    }
    return proceed();
  });
}

}  // namespace tstitch
