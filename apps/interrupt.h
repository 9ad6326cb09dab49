#pragma once

namespace tstitch {

// From now on the first SIGINT, SIGTERM or SIGHUP only sets a flag, for the run to end at its next step; a
// second SIGINT or SIGTERM ends the process at once, with code 130, and may leave a temporary file. What was
// ignored at the start stays so (nohup). SIGPIPE and SIGXFSZ end nothing: the write that caused them fails.
void catch_interrupts();

bool interrupted();

struct Interrupted {};
// Throws Interrupted: out of what asks nobody whether to go on.
void end_if_interrupted();

}  // namespace tstitch
