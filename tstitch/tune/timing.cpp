#include "tstitch/tune/timing.h"

#include <unistd.h>

#include <span>

#include "tstitch/base/crc32.h"
#include "tstitch/base/error.h"
#include "tstitch/base/hash.h"
#include "tstitch/zoo/latents.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

std::string describe_timing(const Backend& backend, int64_t batch_size) {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  return concat(host, ", ", backend.description(), ", batches of ", batch_size);
}

std::string describe_autoencoder(const std::string& path) {
  if (path.empty()) return "";
  const TensorFile file = open_weights(find_decoder(path), WeightChoice::automatic);
  uint32_t crc = 0;
  for (const auto& [name, tensor] : file.tensors()) {
    std::string text = concat(name, ' ', tensor.dtype_name);
    for (const int64_t extent : tensor.shape) text += concat(' ', extent);
    crc = crc32(std::as_bytes(std::span(text)), crc);
  }
  return concat(file.tensors().size(), " tensors, crc32 ", hex(crc).substr(8));
}

}  // namespace tstitch
