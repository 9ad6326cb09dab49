#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tstitch {

// 8-bit pixels, gray or RGB, row by row from the top: height x width x channels.
struct Image {
  int width = 0, height = 0;
  int channels = 0;  // 1 or 3
  std::vector<uint8_t> pixels;
};

// Keyword (1 to 79 characters of ASCII) and UTF-8 text, in the order of the file.
using PngText = std::vector<std::pair<std::string, std::string>>;

// A PNG file with these texts: as tEXt where Latin-1 suffices, else as iTXt. The same input gives the same
// bytes.
std::vector<std::byte> encode_png(const Image& image, const PngText& text);

// encode_png into a file, whole or not at all; throws Error{device} when it cannot be written.
void write_png(const std::string& path, const Image& image, const PngText& text);

// Gray and RGB as they are, palettes and fewer than 8 bits expanded, 16 bits rounded to 8; at most 16
// megapixels. Throws Error{input} with a code: PNG_HEADER, PNG_DATA, PNG_TRUNCATED, PNG_UNSUPPORTED
// (transparency), RES_LIMIT, and those of files that are no PNG.
Image read_png(const std::string& path);

// The text under this keyword, of a tEXt chunk (Latin-1); nothing where there is none. Throws Error{input} as
// read_png does for what is no PNG.
std::optional<std::string> read_png_text(const std::string& path, std::string_view keyword);

// All texts of a PNG file in memory, as UTF-8, that are not compressed: of tEXt and iTXt chunks, of 1 MiB in
// all at the most. Errors as above, and RES_LIMIT.
PngText png_texts(std::span<const std::byte> bytes, const std::string& name);

// read_png for bytes in memory; `name` stands for the path in messages.
Image decode_png(std::span<const std::byte> bytes, const std::string& name);

// The same of one that may be transparent; its colours are as they stand, whatever covers them.
struct TransparentImage {
  Image colours;
  std::optional<Image> opacity;  // gray: 0 transparent ... 255; nothing where all is opaque by its format
};
TransparentImage decode_transparent_png(std::span<const std::byte> bytes, const std::string& name);

}  // namespace tstitch
