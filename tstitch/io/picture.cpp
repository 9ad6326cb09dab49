#include "tstitch/io/picture.h"

#include "tstitch/io/file.h"
#include "tstitch/io/jpeg.h"

namespace tstitch {

Image read_picture(const std::string& path) {
  const MappedFile file(path);
  return file.parsed([&](std::span<const std::byte> bytes) { return decode_picture(bytes, path); });
}

Image decode_picture(std::span<const std::byte> bytes, const std::string& name) {
  return is_jpeg(bytes) ? decode_jpeg(bytes, name) : decode_png(bytes, name);
}

}  // namespace tstitch
