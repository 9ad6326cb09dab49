#pragma once

namespace tstitch {

// From now on the first SIGINT, SIGTERM or SIGHUP only sets a flag, for the run to end at its next step; the
// second one ends the process at once, with code 130. Either way no file is left half-written. SIGPIPE and
// SIGXFSZ end nothing: the write that caused them fails.
void catch_interrupts();

bool interrupted();

}  // namespace tstitch
