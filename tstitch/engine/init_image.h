// The picture a run starts from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tstitch/io/png.h"
#include "tstitch/tensor/tensor.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

// `image`, cut around the middle to the proportions wanted and scaled to width x height by the cubic
// convolution of Keys 1981 (a = -1/2), widened where it shrinks so that nothing aliases. Returns (channels,
// height, width) f32 in 0 ... 255 and what overshoots.
Tensor resized(const Image& image, int64_t width, int64_t height);

// picture: (1 or 3, H, W). With 1 or 3 channels: gray is the luma of ITU-R BT.601.
Tensor with_channels(const Tensor& picture, int64_t channels);

// The picture of the file `path` as SampleOptions::init_image wants it for this model: in [-1, 1], gray or
// RGB as the model's pictures are, of the size asked for, else of its own size rounded down to what the model
// can take. Throws Error{usage} when it is smaller than the least the model can take.
Tensor make_init_image(const Image& picture, const std::string& path, const ModelInfo& model,
                       std::optional<int64_t> width, std::optional<int64_t> height);

}  // namespace tstitch
