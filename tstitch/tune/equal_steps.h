// What is estimated from one cost for each model needs steps that cost alike.
#pragma once

#include "tstitch/engine/sample_options.h"

namespace tstitch {

// Throws Error{usage} for a stage that is guided, or a ControlNet that steers, in some of its steps.
// consequence: the end of the message, "which a curve does not know yet".
void check_equal_steps(const SampleOptions& options, const char* consequence);

}  // namespace tstitch
