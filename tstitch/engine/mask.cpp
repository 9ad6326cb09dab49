#include "tstitch/engine/mask.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "tstitch/base/error.h"
#include "tstitch/engine/init_image.h"
#include "tstitch/engine/pixels.h"

namespace tstitch {
namespace {

bool is_painted(float share) { return share >= 0.5f; }

// The place of i in 0 ... size - 1, mirrored at the first and the last as often as it takes.
int64_t mirrored(int64_t i, int64_t size) {
  if (size == 1) return 0;
  const int64_t period = 2 * (size - 1);
  i = ((i % period) + period) % period;
  return std::min(i, period - i);
}

// One line of `size` values, `stride` apart, under the kernel; scratch: for the line with its mirrored ends.
void convolve(float* line, int64_t size, int64_t stride, std::span<const double> kernel,
              std::vector<double>& scratch) {
  const int64_t radius = std::ssize(kernel) / 2;
  scratch.clear();
  for (int64_t i = -radius; i < size + radius; ++i) scratch.push_back(line[mirrored(i, size) * stride]);
  for (int64_t i = 0; i < size; ++i)
    line[i * stride] =
        static_cast<float>(std::inner_product(kernel.begin(), kernel.end(), scratch.begin() + i, 0.0));
}

}  // namespace

Tensor make_mask(const Image& drawn, const std::string& path, const Image& picture,
                 const Tensor& init_image) {
  check(drawn.width == picture.width && drawn.height == picture.height, ErrorKind::usage, "--mask \"",
        printable(path), "\" is ", drawn.width, " x ", drawn.height, ", expected ", picture.width, " x ",
        picture.height, " as the initial picture");
  const int64_t H = init_image.extent(1), W = init_image.extent(2);
  const Tensor gray = with_channels(resized(drawn, W, H), 1);
  Tensor mask({H, W}, DType::f32);
  std::transform(gray.data<float>(), gray.data<float>() + H * W, mask.data<float>(),
                 [](float value) { return static_cast<float>(std::clamp(value / 255.0, 0.0, 1.0)); });
  return mask;
}

Tensor blurred(const Tensor& mask, double deviation) {
  if (deviation == 0) return mask;
  const auto radius = static_cast<int64_t>(2.5 * deviation + 0.5);
  std::vector<double> kernel;
  double sum = 0;
  for (int64_t j = -radius; j <= radius; ++j) {
    const double distance = static_cast<double>(j) / deviation;
    kernel.push_back(std::exp(-distance * distance / 2));
    sum += kernel.back();
  }
  for (double& weight : kernel) weight /= sum;

  const int64_t H = mask.extent(0), W = mask.extent(1);
  Tensor out({H, W}, DType::f32);
  std::copy_n(mask.data<float>(), H * W, out.data<float>());
  std::vector<double> scratch;
  for (int64_t y = 0; y < H; ++y) convolve(out.data<float>() + y * W, W, 1, kernel, scratch);
  for (int64_t x = 0; x < W; ++x) convolve(out.data<float>() + x, H, W, kernel, scratch);
  return out;
}

Tensor latent_mask(const Tensor& mask, int64_t pixels) {
  const int64_t H = mask.extent(0) / pixels, W = mask.extent(1) / pixels;
  Tensor places({H, W}, DType::f32);
  for (int64_t y = 0; y < H; ++y)
    for (int64_t x = 0; x < W; ++x)
      places.data<float>()[y * W + x] = mask.data<float>()[(y * mask.extent(1) + x) * pixels];
  return places;
}

Tensor without_hole(const Tensor& init_image, const Tensor& mask) {
  Tensor rest(init_image.shape(), DType::f32);
  for (int64_t i = 0; i < rest.elements(); ++i)
    rest.data<float>()[i] =
        is_painted(mask.data<float>()[i % mask.elements()]) ? 0 : init_image.data<float>()[i];
  return rest;
}

Tensor beside_latent(const Tensor& latent, const Tensor& mask) {
  const int64_t C = latent.extent(1), H = latent.extent(2), W = latent.extent(3);
  const Tensor places = latent_mask(mask, mask.extent(0) / H);
  Tensor beside({H, W, 1 + C}, DType::f32);
  float* to = beside.data<float>();
  for (int64_t i = 0; i < H * W; ++i) {
    *to++ = is_painted(places.data<float>()[i]) ? 1 : 0;
    for (int64_t c = 0; c < C; ++c) *to++ = latent.data<float>()[c * H * W + i];
  }
  return beside;
}

void keep_known(std::vector<Image>& images, const Tensor& init_image, const Tensor& mask) {
  const int64_t C = init_image.extent(0), H = init_image.extent(1), W = init_image.extent(2);
  const Image known = decode_pixels(init_image.reshape({1, C, H, W})).at(0);
  for (Image& image : images) {
    check_internal(image.width == W && image.height == H && image.channels == C, "a picture of ", image.width,
                   " x ", image.height, " under a mask ", mask.shape());
    for (int64_t i = 0; i < H * W; ++i) {
      const float m = mask.data<float>()[i];
      for (int64_t c = i * C; c < (i + 1) * C; ++c) {
        uint8_t& pixel = image.pixels[static_cast<size_t>(c)];
        pixel = static_cast<uint8_t>(
            std::lround(m * static_cast<float>(pixel) +
                        (1 - m) * static_cast<float>(known.pixels[static_cast<size_t>(c)])));
      }
    }
  }
}

}  // namespace tstitch
