// What the config.json beside an autoencoder must say for its tensors to mean what they mean here.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace tstitch {

// Of diffusers' AutoencoderKL and AutoencoderTiny. Both throw Error{input} naming the key.
void check_autoencoder_kl(const nlohmann::json& config, const std::string& where);
void check_tiny_autoencoder(const nlohmann::json& config, const std::string& where);

}  // namespace tstitch
