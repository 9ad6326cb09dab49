#include "tstitch/engine/pixels.h"

#include <algorithm>

#include "tstitch/base/error.h"

namespace tstitch {

std::vector<Image> decode_pixels(const Tensor& latents) {
  const int64_t N = latents.extent(0), C = latents.extent(1), H = latents.extent(2), W = latents.extent(3);
  check_internal(C == 1 || C == 3, "images of ", C, " channels");
  std::vector<Image> images;
  const float* x = latents.data<float>();
  for (int64_t n = 0; n < N; ++n, x += C * H * W) {
    Image image{.width = static_cast<int>(W),
                .height = static_cast<int>(H),
                .channels = static_cast<int>(C),
                .pixels = std::vector<uint8_t>(static_cast<size_t>(C * H * W))};
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

}  // namespace tstitch
