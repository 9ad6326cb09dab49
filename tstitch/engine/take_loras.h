#pragma once

#include <vector>

#include "tstitch/engine/sample_options.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

// Gives every model the LoRAs that its stage names, or else those of the run that fit it (ModelInfo::loras).
// Throws Error{input} for a file that is broken, and for one that fits none of the models it is for, with the
// reason.
void take_loras(const SampleOptions& options, std::vector<ModelInfo>& models);

}  // namespace tstitch
