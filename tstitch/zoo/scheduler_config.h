// scheduler_config.json of diffusers.
#pragma once

#include <string>

#include "tstitch/zoo/model_config.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

// Python writes infinities into it, see parse_python_json.
ModelConfig read_scheduler_file(const std::string& path);

// What the training fixed: betas or flow, and what is predicted. Absent keys are what diffusers' scheduler of
// that class takes. Throws Error{input} with the key for what cannot be.
void read_training(const ModelConfig& scheduler, ModelInfo& info);

// How diffusers' pipeline samples with that scheduler unless the user says otherwise. What cannot be followed
// (scheduler_keys.h) becomes the refusal in the model's defaults: it concerns only those who leave the choice
// of the sampler to the folder.
void read_sampling(const ModelConfig& scheduler, ModelInfo& info);

}  // namespace tstitch
