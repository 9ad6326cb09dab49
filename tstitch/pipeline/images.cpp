#include "tstitch/pipeline/images.h"

#include <algorithm>
#include <cmath>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

constexpr int kPadding = 2;

Image blank(int width, int height, int channels) {
  Image image{.width = width, .height = height, .channels = channels, .pixels = {}};
  image.pixels.resize(static_cast<size_t>(width) * height * channels);
  return image;
}

}  // namespace

std::vector<Image> decode_pixels(const Tensor& latents) {
  const int64_t N = latents.extent(0), C = latents.extent(1), H = latents.extent(2), W = latents.extent(3);
  check_internal(C == 1 || C == 3, "images of ", C, " channels");
  std::vector<Image> images;
  const float* x = latents.data<float>();
  for (int64_t n = 0; n < N; ++n, x += C * H * W) {
    Image image = blank(static_cast<int>(W), static_cast<int>(H), static_cast<int>(C));
    for (int64_t c = 0; c < C; ++c)
      for (int64_t i = 0; i < H * W; ++i)
        image.pixels[i * C + c] =
            static_cast<uint8_t>(std::clamp(127.5f * x[c * H * W + i] + 128, 0.0f, 255.0f));
    images.push_back(std::move(image));
  }
  return images;
}

Tensor to_tensor(const std::vector<Image>& images) {
  const Image& first = images.at(0);
  Tensor tensor({std::ssize(images), first.height, first.width, first.channels}, DType::u8);
  uint8_t* to = tensor.data<uint8_t>();
  for (const Image& image : images) {
    check_internal(image.pixels.size() == first.pixels.size(), "images of different sizes in one tensor");
    to = std::ranges::copy(image.pixels, to).out;
  }
  return tensor;
}

Image make_grid(const std::vector<Image>& images, int columns) {
  const Image& first = images.at(0);
  const int count = static_cast<int>(images.size());
  columns = std::min(columns, count);
  const int rows = (count + columns - 1) / columns;
  const int cell_width = first.width + kPadding, cell_height = first.height + kPadding;
  Image grid = blank(columns * cell_width + kPadding, rows * cell_height + kPadding, first.channels);
  for (int i = 0; i < count; ++i)
    paste(grid, images[i], i % columns * cell_width + kPadding, i / columns * cell_height + kPadding);
  return grid;
}

int grid_columns(int64_t images, int64_t images_per_class) {
  if (images_per_class > 1 && images_per_class < images) return static_cast<int>(images_per_class);
  if (images <= 8) return 4;
  return static_cast<int>(std::ceil(std::sqrt(static_cast<double>(images))));
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
