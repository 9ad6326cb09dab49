// What configurations of both kinds, our own and diffusers', say about the training.
#pragma once

#include <map>
#include <string>

#include "tstitch/zoo/config_reader.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

// What a rectified flow predicts and is sampled with.
void describe_flow(ModelInfo& info);

// What the network predicts, by the names of the file; Error{input} lists them.
void read_prediction(const ConfigReader& reader, const char* key,
                     const std::map<std::string, Parameterization>& known, Parameterization& prediction);

}  // namespace tstitch
