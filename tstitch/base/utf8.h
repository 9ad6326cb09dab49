#pragma once

#include <cstddef>
#include <string_view>

namespace tstitch {

// The length of the character at the start of `text`, which is not empty; 0 when it is malformed.
size_t utf8_length(std::string_view text);

// How many bytes of `text` are well-formed UTF-8 (Unicode 15, table 3-7: no overlong forms, no surrogates,
// nothing above U+10FFFF) up to the first character that is not; text.size() when all are.
size_t valid_utf8_prefix(std::string_view text);

}  // namespace tstitch
