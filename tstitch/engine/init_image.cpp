#include "tstitch/engine/init_image.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

double cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

// What one output pixel takes of the inputs first, first + 1, ...
struct Taps {
  int64_t first;
  std::vector<double> weights;
};

std::vector<Taps> taps(int64_t inputs, int64_t outputs) {
  const double scale = static_cast<double>(inputs) / static_cast<double>(outputs),
               widened = std::max(scale, 1.0);
  std::vector<Taps> all;
  for (int64_t i = 0; i < outputs; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const auto first = static_cast<int64_t>(std::max(0.0, center - 2 * widened + 0.5));
    const auto last = std::min(inputs, static_cast<int64_t>(center + 2 * widened + 0.5));
    Taps of_one{.first = first, .weights = {}};
    double sum = 0;
    for (int64_t j = first; j < last; ++j) {
      of_one.weights.push_back(cubic((static_cast<double>(j) - center + 0.5) / widened));
      sum += of_one.weights.back();
    }
    for (double& weight : of_one.weights) weight /= sum;
    all.push_back(std::move(of_one));
  }
  return all;
}

// The sides of the largest box with these proportions.
std::pair<int64_t, int64_t> box_of(const Image& image, int64_t width, int64_t height) {
  const double scale = std::min(static_cast<double>(image.width) / static_cast<double>(width),
                                static_cast<double>(image.height) / static_cast<double>(height));
  const auto side = [&](int64_t wanted, int there) {
    return std::clamp<int64_t>(std::llround(scale * static_cast<double>(wanted)), 1, there);
  };
  return {side(width, image.width), side(height, image.height)};
}

int64_t rounded_down(int64_t pixels, int64_t unit) { return pixels / unit * unit; }

}  // namespace

Tensor resized(const Image& image, int64_t width, int64_t height) {
  const auto [box_width, box_height] = box_of(image, width, height);
  const int64_t left = (image.width - box_width) / 2, top = (image.height - box_height) / 2;
  const auto columns = taps(box_width, width), rows = taps(box_height, height);

  Tensor out({image.channels, height, width}, DType::f32);
  std::vector<double> narrow(static_cast<size_t>(box_height * width));
  for (int64_t c = 0; c < image.channels; ++c) {
    for (int64_t y = 0; y < box_height; ++y)
      for (int64_t x = 0; x < width; ++x) {
        const Taps& t = columns[static_cast<size_t>(x)];
        const int64_t pixel = (top + y) * image.width + left + t.first;
        double sum = 0;
        for (int64_t j = 0; j < std::ssize(t.weights); ++j)
          sum += t.weights[static_cast<size_t>(j)] * image.pixels[(pixel + j) * image.channels + c];
        narrow[static_cast<size_t>(y * width + x)] = sum;
      }
    float* to = out.data<float>() + c * height * width;
    for (int64_t y = 0; y < height; ++y)
      for (int64_t x = 0; x < width; ++x) {
        const Taps& t = rows[static_cast<size_t>(y)];
        double sum = 0;
        for (int64_t j = 0; j < std::ssize(t.weights); ++j)
          sum += t.weights[static_cast<size_t>(j)] * narrow[static_cast<size_t>((t.first + j) * width + x)];
        to[y * width + x] = static_cast<float>(sum);
      }
  }
  return out;
}

Tensor with_channels(const Tensor& picture, int64_t channels) {
  const int64_t there = picture.extent(0), H = picture.extent(1), W = picture.extent(2);
  if (there == channels) return picture;
  constexpr double kLuma[] = {0.299, 0.587, 0.114};
  const float* from = picture.data<float>();
  Tensor out({channels, H, W}, DType::f32);
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t i = 0; i < H * W; ++i)
      out.data<float>()[c * H * W + i] =
          there == 1 ? from[i]
                     : static_cast<float>(kLuma[0] * from[i] + kLuma[1] * from[H * W + i] +
                                          kLuma[2] * from[2 * H * W + i]);
  return out;
}

Tensor make_init_image(const Image& picture, const std::string& path, const ModelInfo& model,
                       std::optional<int64_t> width, std::optional<int64_t> height) {
  const int64_t unit = model.pixels_per_latent * model.architecture->unit();
  const int64_t W = width.value_or(rounded_down(picture.width, unit));
  const int64_t H = height.value_or(rounded_down(picture.height, unit));
  check(W > 0 && H > 0 && W <= (1 << 14) && H <= (1 << 14), ErrorKind::usage, "--init-image \"",
        printable(path), "\" is ", picture.width, " x ", picture.height, " and would become ", W, " x ", H,
        ", expected multiples of ", unit, " of at least ", unit);
  Tensor out = with_channels(resized(picture, W, H), model.pixels ? model.channels : 3);
  for (int64_t i = 0; i < out.elements(); ++i) {
    float& value = out.data<float>()[i];
    value = static_cast<float>(std::clamp(value / 127.5 - 1, -1.0, 1.0));
  }
  return out;
}

}  // namespace tstitch
