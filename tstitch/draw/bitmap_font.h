#pragma once

#include <cstdint>
#include <string>

#include "tstitch/io/png.h"

namespace tstitch {

// Labels for figures in a font of our own: 5 x 7 pixels, descenders two below, 6 pixels from one character to
// the next; times an integer `scale` >= 1. ASCII; any other character becomes '?'.

int text_width(const std::string& text, int scale);
int text_height(int scale);

// Draws the text with its upper left corner at (x, y) in all channels with `value`; the background stays.
// What lies outside the image is cut off.
void draw_text(Image& image, int x, int y, const std::string& text, int scale, uint8_t value);

}  // namespace tstitch
