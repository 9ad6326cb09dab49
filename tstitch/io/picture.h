#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "tstitch/io/png.h"

namespace tstitch {

// A PNG or JPEG file, known by its first bytes. Throws as decode_png and decode_jpeg.
Image read_picture(const std::string& path);
// The same of bytes in memory; `name` stands for the path in messages.
Image decode_picture(std::span<const std::byte> bytes, const std::string& name);

}  // namespace tstitch
