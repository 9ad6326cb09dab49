// From the latents of a diffusion model to pictures, through the autoencoder it was trained with.
#pragma once

#include <memory>
#include <string>

#include "tstitch/backend/backend.h"
#include "tstitch/models/autoencoder.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

// What weights and configuration there are at the path of a decoder.
ModelFiles find_decoder(const std::string& path);

// The decoder at `path`: a checkpoint of an AutoencoderKL or a tiny autoencoder
// (tstitch/models/load_autoencoder.h), or a folder with one and perhaps diffusers' config.json; also the
// model's own checkpoint where that holds everything. Throws Error{input} when it is none, lacks a decoder,
// does not fit the model's latents, or nothing says how these are scaled.
// with_encoder: loads that half too, and refuses an autoencoder that has none.
std::unique_ptr<Autoencoder> load_decoder(Backend& backend, const std::string& path, const ModelInfo& model,
                                          bool with_encoder = false);

// picture: (3, H, W) f32 on the host in [-1, 1]. Returns the clean latent, (1, C, H / f, W / f), that a
// diffusion model sees: the mean of the encoder's distribution, so that nothing is random. f must divide the
// sides.
Tensor encode(Backend& backend, const Autoencoder& autoencoder, const Tensor& picture);

// latents: (N, C, h, w) f32 on the host, as the diffusion model leaves them. Returns the pictures, (N, 3, H,
// W) f32 on the host, about [-1, 1]. One image after the other, so that memory does not depend on N.
Tensor decode(Backend& backend, const Autoencoder& autoencoder, const Tensor& latents);

}  // namespace tstitch
