#pragma once

#include "tstitch/engine/fields.h"

namespace tstitch {

// What was said, with the LoRAs that prompts name (text/lora_tags.h) among its --lora, where --lora-dir says
// where they are: files of these names with any of the endings of checkpoints, in the folder or below it. All
// prompts of a run must name the same. before: what holds where nothing else is said. Throws Error{usage}
// where they do not, where none does, for a name of no file or of several, and where prompts are taken as
// they stand (PromptStyle::plain).
Said with_loras_of_prompts(const Said& said, const Said& before = {});

}  // namespace tstitch
