#pragma once

#include <string_view>

namespace tstitch {

// How many bytes of `text` are well-formed UTF-8 (Unicode 15, table 3-7: no overlong forms, no surrogates,
// nothing above U+10FFFF) up to the first character that is not; text.size() when all are.
size_t valid_utf8_prefix(std::string_view text);

}  // namespace tstitch
