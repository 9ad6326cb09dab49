#pragma once

#include <string>
#include <vector>

namespace tstitch {

// The folder of the demo family: $TSTITCH_ASSETS, else beside the installed program (../share/tstitch), else
// assets/ of the source tree the program was built from. Throws Error{input} when there is none.
std::string assets_folder();

// The path that `name` means: itself when such a file exists or it looks like a path, else the demo model of
// that name ("fashion-s").
std::string resolve_model(const std::string& name);

// The built-in models in order of use, small first: {"fashion-s", "fashion-l"}, and their paths.
std::vector<std::string> builtin_names();
std::vector<std::string> builtin_models();

}  // namespace tstitch
