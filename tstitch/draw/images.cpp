#include "tstitch/draw/images.h"

#include "tstitch/base/error.h"

namespace tstitch {

Image blank(int width, int height, int channels) {
  Image image{.width = width, .height = height, .channels = channels, .pixels = {}};
  image.pixels.resize(static_cast<size_t>(width) * height * channels);
  return image;
}

Image enlarge(const Image& image, int factor) {
  Image large = blank(image.width * factor, image.height * factor, image.channels);
  for (int y = 0; y < large.height; ++y)
    for (int x = 0; x < large.width; ++x)
      for (int c = 0; c < image.channels; ++c)
        large.pixels[(static_cast<size_t>(y) * large.width + x) * image.channels + c] =
            image.pixels[(static_cast<size_t>(y / factor) * image.width + x / factor) * image.channels + c];
  return large;
}

int viewing_factor(int height) {
  constexpr int kSmallest = 84;
  return (kSmallest + height - 1) / height;
}

void paste(Image& target, const Image& image, int x, int y) {
  check_internal(x >= 0 && y >= 0 && x + image.width <= target.width && y + image.height <= target.height,
                 "a picture outside its canvas");
  for (int row = 0; row < image.height; ++row)
    for (int column = 0; column < image.width; ++column)
      for (int c = 0; c < target.channels; ++c)
        target.pixels[(static_cast<size_t>(y + row) * target.width + x + column) * target.channels + c] =
            image.pixels[(static_cast<size_t>(row) * image.width + column) * image.channels +
                         c % image.channels];
}

}  // namespace tstitch
