#include "tstitch/zoo/model_content.h"

#include <span>

#include "tstitch/base/crc32.h"
#include "tstitch/base/error.h"
#include "tstitch/base/hash.h"
#include "tstitch/io/file.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

std::string content_of(const ModelFiles& files, WeightChoice choice, const std::function<void()>& between) {
  const TensorFile file = open_weights(files, choice);
  uint32_t crc = 0;
  int64_t bytes = 0;
  const auto add = [&](const std::string& text) { crc = crc32(std::as_bytes(std::span(text)), crc); };
  for (const auto& [name, tensor] : file.tensors()) {
    between();
    add(concat(name, ' ', tensor.dtype_name));
    for (const int64_t extent : tensor.shape) add(concat(' ', extent));
    const auto checksum = [&, content = tensor.bytes](std::span<const std::byte>) {
      return crc32(content, crc);
    };
    crc = tensor.file->parsed(checksum);
    bytes += std::ssize(tensor.bytes);
    tensor.file->release(tensor.bytes);
  }
  for (const auto& [key, value] : file.metadata()) add(concat(key, '=', value, '\n'));
  for (const std::string& path : {files.config, files.scheduler})
    if (!path.empty()) crc = crc32_of_file(path, crc, between);
  return concat(bytes, " bytes, crc32 ", hex(crc).substr(8));
}

}  // namespace tstitch
