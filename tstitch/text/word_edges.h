// Whether a text begins or ends inside a word, as \b of Python's regular expressions has it.
#pragma once

#include <string_view>

namespace tstitch {

bool begins_with_word(std::string_view text);
bool ends_with_word(std::string_view text);

}  // namespace tstitch
