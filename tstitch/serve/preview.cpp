#include "tstitch/serve/preview.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "tstitch/engine/pixels.h"
#include "tstitch/ops/ops.h"

namespace tstitch::serve {
namespace {

// Of the four channels of a latent the red, green and blue that they are about, in [-1, 1]: least squares
// over decoded pictures, as ComfyUI has them (comfy/latent_formats.py).
using LinearMap = std::array<std::array<float, 3>, 4>;
constexpr LinearMap kStableDiffusion = {{{0.3512f, 0.2297f, 0.3227f},
                                         {0.3250f, 0.4974f, 0.2350f},
                                         {-0.2829f, 0.1762f, 0.2721f},
                                         {-0.2120f, -0.2616f, -0.7177f}}};
constexpr LinearMap kSdxl = {{{0.3920f, 0.4054f, 0.4549f},
                              {-0.2634f, -0.0196f, 0.0653f},
                              {0.0568f, 0.1687f, -0.0755f},
                              {-0.3112f, -0.2359f, -0.2076f}}};

// By what the latents were multiplied by, which tells their autoencoders apart.
const LinearMap* map_of(const ModelInfo& model) {
  if (model.channels != 4 || !model.latent_scale) return nullptr;
  if (std::abs(*model.latent_scale - 0.18215) < 1e-6) return &kStableDiffusion;
  if (std::abs(*model.latent_scale - 0.13025) < 1e-6) return &kSdxl;
  return nullptr;
}

}  // namespace

std::optional<Image> preview_of(Backend& backend, const Tensor& x0, const ModelInfo& model) {
  const LinearMap* map = model.pixels ? nullptr : map_of(model);
  if (!model.pixels && !map) return std::nullopt;
  const Tensor chw = backend.download(to_channels_first(backend, x0.slice(0, 1)));  // (1, C, H, W)
  if (model.pixels) return decode_pixels(chw)[0];
  const int64_t H = chw.extent(2), W = chw.extent(3);
  Tensor rgb({1, 3, H, W}, DType::f32);
  for (int64_t i = 0; i < H * W; ++i)
    for (size_t to = 0; to < 3; ++to) {
      float sum = 0;
      for (size_t from = 0; from < 4; ++from)
        sum += chw.data<float>()[static_cast<int64_t>(from) * H * W + i] * (*map)[from][to];
      rgb.data<float>()[static_cast<int64_t>(to) * H * W + i] = sum;
    }
  return decode_pixels(rgb)[0];
}

}  // namespace tstitch::serve
