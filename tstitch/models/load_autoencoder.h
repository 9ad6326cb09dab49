// The autoencoder that a checkpoint holds, by its keys.
#pragma once

#include <memory>
#include <optional>

#include "tstitch/models/autoencoder_kl.h"

namespace tstitch {

// `weights`: an AutoencoderKL under any of its names (autoencoder_keys.h), or a tiny autoencoder, of which
// the encoder may be in a source of its own. Without `config` the shapes tell; then the scaling of an
// AutoencoderKL is Stable Diffusion 1's. Throws Error{input} when it is neither, or names the tensor that is
// missing or misshapen.
std::unique_ptr<Autoencoder> load_autoencoder(Backend& backend, const WeightSource& weights,
                                              const std::optional<AutoencoderKLConfig>& config = {},
                                              const WeightSource* tiny_encoder = nullptr);

}  // namespace tstitch
