#include "tstitch/io/exif.h"

#include <algorithm>
#include <cstdint>
#include <string_view>

namespace tstitch {
namespace {

// Numbers of a file; 0 for what lies behind its end.
class Bytes {
 public:
  explicit Bytes(std::string_view bytes, bool big_endian = true) : bytes_(bytes), big_endian_(big_endian) {}

  uint32_t number(size_t at, size_t size) const {
    if (at > bytes_.size() || size > bytes_.size() - at) return 0;
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i)
      value = value << 8 | static_cast<unsigned char>(bytes_[at + (big_endian_ ? i : size - 1 - i)]);
    return value;
  }

 private:
  std::string_view bytes_;
  bool big_endian_;
};

// The TIFF structure in the Exif segment before the first scan; empty where there is none.
std::string_view tiff_of(std::string_view jpeg) {
  constexpr std::string_view kExif{"Exif\0\0", 6};
  const Bytes bytes(jpeg);
  for (size_t at = 2; bytes.number(at, 1) == 0xff;) {
    if (bytes.number(at + 1, 1) == 0xff) {  // any number of these may stand before a marker
      ++at;
      continue;
    }
    const uint32_t marker = bytes.number(at + 1, 1), length = bytes.number(at + 2, 2);
    if (marker == 0xda || length < 2 || length > jpeg.size() - at - 2) break;
    const std::string_view segment = jpeg.substr(at + 4, length - 2);
    if (marker == 0xe1 && segment.starts_with(kExif)) return segment.substr(kExif.size());
    at += 2 + length;
  }
  return {};
}

}  // namespace

int exif_orientation(std::span<const std::byte> jpeg) {
  constexpr uint32_t kOrientation = 274, kShort = 3;
  const std::string_view tiff = tiff_of({reinterpret_cast<const char*>(jpeg.data()), jpeg.size()});
  const Bytes bytes(tiff, tiff.starts_with("MM"));
  if (!tiff.starts_with("MM") && !tiff.starts_with("II")) return 1;
  const size_t directory = bytes.number(4, 4);
  const uint32_t entries = bytes.number(directory, 2);
  for (uint32_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + size_t{12} * i;
    if (bytes.number(entry, 2) != kOrientation || bytes.number(entry + 2, 2) != kShort) continue;
    const uint32_t value = bytes.number(entry + 8, 2);
    return 1 <= value && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

Image oriented(Image image, int orientation) {
  if (orientation == 1) return image;
  const bool transposed = orientation >= 5;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8,
             from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image out = {.width = transposed ? image.height : image.width,
               .height = transposed ? image.width : image.height,
               .channels = image.channels,
               .pixels = {}};
  out.pixels.reserve(image.pixels.size());
  for (int y = 0; y < out.height; ++y)
    for (int x = 0; x < out.width; ++x) {
      const int64_t column = transposed ? y : x, row = transposed ? x : y;
      const int64_t there = (from_bottom ? image.height - 1 - row : row) * image.width +
                            (from_right ? image.width - 1 - column : column);
      for (int c = 0; c < image.channels; ++c)
        out.pixels.push_back(image.pixels[static_cast<size_t>(there * image.channels + c)]);
    }
  return out;
}

}  // namespace tstitch
