#pragma once

#include <vector>

#include "tstitch/engine/run_spec.h"

namespace tstitch {

// Opens the embeddings that texts of the run name: of --embedding, then files of these names in
// --embedding-dir or below it. Afterwards the options name these and no others; what was asked for and is
// named by no text is idle. Throws Error{usage} for a name that is that of several, Error{input} for a file
// that is broken, and for one that a model cannot read whose prompt, or negative prompt, names it.
void take_embeddings(RunSpec& spec, const std::vector<ModelInfo>& models);

}  // namespace tstitch
