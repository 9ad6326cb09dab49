// What SDXL's networks are told of a picture beside its text (Podell et al. 2023, arXiv 2307.01952, section
// 2.2): how large it was before it was cut to shape, where it was cut, and how large it is.
#pragma once

#include <cstdint>

namespace tstitch {

// All in pixels.
struct PixelSize {
  int64_t width = 0, height = 0;
  bool operator==(const PixelSize&) const = default;
};
struct PixelPoint {
  int64_t left = 0, top = 0;
  bool operator==(const PixelPoint&) const = default;
};
struct PictureSizes {
  PixelSize original;
  PixelPoint crop;
  PixelSize target;
};

// What SDXL's refiner is told instead of the last: how good the picture is to look like, and what guidance
// leads away from, of 10. The defaults are diffusers'.
struct AestheticScores {
  double positive = 6, negative = 2.5;
};

}  // namespace tstitch
