// What a picture is about to be, while it is sampled.
#pragma once

#include <optional>

#include "tstitch/backend/backend.h"
#include "tstitch/io/png.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch::serve {

// The first of x0, (N, H, W, C), a model's estimate of clean latents, a pixel for each place: itself where
// latents are pictures; where they are Stable Diffusion's or SDXL's, by a linear map. Nothing for others.
std::optional<Image> preview_of(Backend& backend, const Tensor& x0, const ModelInfo& model);

}  // namespace tstitch::serve
