// The JSON files that describe models.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "tstitch/models/autoencoder_kl.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

// config.json, or the metadata "config" of a checkpoint: ours (assets/README.md), or diffusers' when it names
// its class. Fills what the object says; `where` names it in messages. Throws Error{input} with the key for
// what is of the wrong type, out of range or contradicts itself.
void read_model_config(const nlohmann::json& object, const std::string& where, ModelInfo& info);

// scheduler_config.json of diffusers: betas and what is predicted, which the training fixed, and how the
// pipeline samples unless the user says otherwise.
void read_scheduler_config(const nlohmann::json& object, const std::string& where, ModelInfo& info);

// How many pixels a side of a latent becomes, by vae/config.json of diffusers.
int64_t autoencoder_factor(const nlohmann::json& object, const std::string& where);

// vae/config.json of diffusers: what the shapes of an AutoencoderKL do not show.
void read_autoencoder_config(const nlohmann::json& object, const std::string& where,
                             AutoencoderKLConfig& config);

}  // namespace tstitch
