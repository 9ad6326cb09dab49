// How a camera was held (Exif 2.32, tag 274).
#pragma once

#include <cstddef>
#include <span>

#include "tstitch/io/png.h"

namespace tstitch {

// The orientation that a JPEG file says, 1 ... 8; 1, as it stands, where it says none that can be read.
int exif_orientation(std::span<const std::byte> jpeg);

// The picture as it is to be looked at: row 0 of `image` is its top (1, 2), bottom (3, 4), left (5, 8) or
// right (6, 7).
Image oriented(Image image, int orientation);

}  // namespace tstitch
