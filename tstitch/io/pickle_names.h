#pragma once

#include <string_view>

namespace tstitch {

// Whether `module`.`name` is something that runs, loads or sends what it is given: os.system, builtins.eval,
// subprocess.Popen, torch.hub.load. Nothing of the kind is ever called here, yet a checkpoint that names it
// was made to attack whoever opens it with Python, and must not pass for a good one. Everything else that is
// unknown is harmless, because nobody looks it up.
bool is_dangerous(std::string_view module, std::string_view name);

// Whether what a call of it gives can hold items as a dict, list or set does; for names that we do not know,
// yes. Not so tensors, storages, types and sizes: writing items into those is how files have corrupted the
// memory of other readers (CVE-2026-24747).
bool gives_container(std::string_view module, std::string_view name);

}  // namespace tstitch
