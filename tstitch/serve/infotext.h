// The parameters of a picture as A1111's web UI writes them into its files.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace tstitch::serve {

// "Prompt", "Negative prompt", and what stands on the last line as "Key: value, ...", values in double quotes
// being JSON texts. Nothing for a text without such a line.
std::vector<std::pair<std::string, std::string>> parse_infotext(const std::string& text);

}  // namespace tstitch::serve
