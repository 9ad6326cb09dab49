#pragma once

#include <span>
#include <vector>

#include "tstitch/engine/run_spec.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

// Gives every model the LoRAs that its stage names, none where that says "none", or else those of the run
// that fit it (ModelInfo::loras; the others are its refused_loras). Throws Error{input} for a file that is
// broken, for one that fits none of the models it is for, with the reason, and for one that is not what
// options.contents say; Error{usage} where stages say their own, so that it or "none" has no effect.
void take_loras(const SampleOptions& options, std::vector<ModelInfo>& models);

// Throws Error{usage} for a LoRA of which no model that serves a step takes anything.
void check_loras_serve(const RunSpec& spec, std::span<const ModelInfo> models);

}  // namespace tstitch
