#pragma once

#include <string>

#include "tstitch/io/png.h"

namespace tstitch {

// A PNG or JPEG file, known by its first bytes. Throws as decode_png and decode_jpeg.
Image read_picture(const std::string& path);

}  // namespace tstitch
