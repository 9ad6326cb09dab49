// How much each block of a network changes what it is given, step by step: those that change it least are the
// first that may be left out (CheaperForm::skip).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/engine/run.h"
#include "tstitch/engine/run_spec.h"
#include "tstitch/zoo/model.h"

namespace tstitch {

struct StepBlockChanges {
  int step;          // from 0
  NoiseLevel level;  // of x before it
  // Of every block |f(x) - x| / |x|, x its tokens and f(x) what it makes of them: the mean over all pictures,
  // and over their rows where they are guided.
  std::vector<double> changes;
};

// Of a run of the spec, of its own evaluations; nothing when the observer cancelled. Networks with blocks
// (Architecture::blocks), none of them steered and none in a form that leaves out any. Throws Error{input}
// where a block gives what is not finite.
std::vector<StepBlockChanges> block_changes(Backend& backend, std::span<const Model> models,
                                            const RunSpec& spec, RunObserver& observer,
                                            const EncodedInputs& inputs);

// Of every block the mean over some steps, one or more.
std::vector<double> mean_changes(std::span<const StepBlockChanges> steps);

// How many blocks may be left out together, none where each is the only one of its transformer.
int64_t most_blocks_to_skip(const Architecture& network);

// So many blocks, ascending: those that change least, of those that may be left out together. Throws
// Error{usage} where not so many may.
std::vector<int64_t> blocks_to_skip(const Architecture& network, std::span<const double> changes,
                                    int64_t count);

}  // namespace tstitch
