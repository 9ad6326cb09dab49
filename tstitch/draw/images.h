// Pictures made of pictures.
#pragma once

#include "tstitch/io/png.h"

namespace tstitch {

// A black picture.
Image blank(int width, int height, int channels);

// Every pixel repeated `factor` times in both directions.
Image enlarge(const Image& image, int factor);

// The whole factor by which pictures this high are enlarged for people; 1 for those that are large enough.
int viewing_factor(int height);

// Copies `image` into `target` with its upper left corner at (x, y); it must fit. A gray image fills all the
// channels.
void paste(Image& target, const Image& image, int x, int y);

}  // namespace tstitch
