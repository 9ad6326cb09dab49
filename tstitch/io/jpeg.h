#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "tstitch/io/png.h"

namespace tstitch {

// Whether a file that begins so means to be a JPEG image.
bool is_jpeg(std::span<const std::byte> bytes);

// A JPEG image, baseline or progressive, gray or in colours, turned as its Exif orientation says; at most 16
// megapixels and 64 scans. Profiles of colour are left aside, as in PNG. Throws Error{input} with a code:
// JPEG_HEADER, JPEG_DATA, JPEG_TRUNCATED, JPEG_UNSUPPORTED (CMYK, 12 bits), RES_LIMIT; `name` stands for the
// path in messages.
Image decode_jpeg(std::span<const std::byte> bytes, const std::string& name);

}  // namespace tstitch
