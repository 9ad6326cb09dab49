// The pictures of a run side by side.
#pragma once

#include <cstdint>
#include <vector>

#include "tstitch/io/png.h"

namespace tstitch {

// The images, all of one size, in rows of `columns`, with two black pixels around each as in torchvision's
// make_grid; small ones enlarged (viewing_factor).
Image make_grid(const std::vector<Image>& images, int columns);

// How many columns the grid of a run has: the images of a class side by side when there are several, else the
// reference's rows of four up to eight images, a square above.
int grid_columns(int64_t images, int64_t images_per_class);

}  // namespace tstitch
