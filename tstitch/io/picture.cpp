#include "tstitch/io/picture.h"

#include "tstitch/io/file.h"
#include "tstitch/io/jpeg.h"

namespace tstitch {

Image read_picture(const std::string& path) {
  const MappedFile file(path);
  return file.parsed([&](std::span<const std::byte> bytes) {
    return is_jpeg(bytes) ? decode_jpeg(bytes, path) : decode_png(bytes, path);
  });
}

}  // namespace tstitch
