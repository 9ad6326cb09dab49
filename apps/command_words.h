// Commands that a person can give: words as a shell reads them.
#pragma once

#include <string>

#include "apps/arguments.h"
#include "tstitch/tune/chosen_trajectory.h"

namespace tstitch {

// As a shell reads it as one word.
std::string in_shell(const std::string& word);

// " -m small/ -m large/ -p 'a fox'": the models, and all else that was said, beside what a plan says itself
// and what has no effect on the run that was chosen.
// said: see with_forms.
std::string words_beside_plan(const Said& said, const Asked& asked, const RunSpec& chosen);

// "tstitch sample ... --stage model=small/,until=9 --stage model=large/": the run that was chosen, with all
// else that was said. The last stage is always the last model's, whose defaults are the run's, with the steps
// that are left to it, or none. "" where stages cannot say it: several steps have one number (--dry-run), or
// what was said is of a model that serves none and would be refused (--lora).
// said: see with_forms. chosen: the run of the choice.
std::string command_of(const Said& said, const Asked& asked, const ChosenTrajectory& choice,
                       const RunSpec& chosen);

}  // namespace tstitch
