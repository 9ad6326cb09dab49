// The JSON files that describe models.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "tstitch/models/autoencoder_kl.h"
#include "tstitch/zoo/family.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

// All throw Error{input}: for what is no JSON, and with the key for what is of the wrong type, out of range
// or contradicts itself.

struct ModelConfig {
  nlohmann::json object;
  std::string where;  // as messages name it
};

// What describes a model: the metadata "config" of its file, else config.json beside it.
bool has_config(const ModelSource& source);
ModelConfig find_config(const ModelSource& source);

ModelConfig read_config_file(const std::string& path);

// Our own configuration (assets/README.md), but for the sizes of the network: how it was trained, its
// latents, the names of its classes and its own. What is not said stays.
void read_own_config(const ModelConfig& config, ModelInfo& info);

// How many pixels a side of a latent becomes, by vae/config.json of diffusers.
int64_t autoencoder_factor(const nlohmann::json& object, const std::string& where);

// vae/config.json of diffusers: what the shapes of an AutoencoderKL do not show.
void read_autoencoder_config(const nlohmann::json& object, const std::string& where,
                             AutoencoderKLConfig& config);

}  // namespace tstitch
