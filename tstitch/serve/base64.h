#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tstitch::serve {

// RFC 4648, section 4, with padding.
std::string base64(std::span<const std::byte> bytes);
std::string base64(std::string_view bytes);

// The inverse; white space is left aside, padding may be missing. Nothing for any other text.
std::optional<std::vector<std::byte>> from_base64(std::string_view text);

}  // namespace tstitch::serve
