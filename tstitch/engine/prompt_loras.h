#pragma once

#include <functional>
#include <string>

#include "tstitch/engine/fields.h"
#include "tstitch/text/lora_tags.h"

namespace tstitch {

// What was said, with the LoRAs that prompts name (text/lora_tags.h) among its --lora, where --lora-dir says
// where they are: files of these names with any of the endings of checkpoints, in the folder or below it. All
// prompts of a run must name the same. before: what holds where nothing else is said. Throws Error{usage}
// where they do not, where none does, for a name of several files, and where prompts are taken as they stand
// (PromptStyle::plain); Error{input} for a name of no file and a folder that cannot be read.
Said with_loras_of_prompts(const Said& said, const Said& before = {});

// Takes the LoRAs that prompts name out of them and puts them among the others, as the files that these names
// mean; false where no prompt names one. Throws Error{usage} where prompts name different ones.
bool take_loras_of_prompts(Said& said, const std::function<std::string(const std::string& name)>& file_of);

}  // namespace tstitch
