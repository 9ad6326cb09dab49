// The page that the server gives to browsers: three files, compiled in.
#pragma once

#include <string_view>

namespace tstitch::serve {

extern const std::string_view kPageHtml, kPageCss, kPageJs;

// Nothing from elsewhere, nothing inline.
inline constexpr std::string_view kPagePolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: "
    "blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

}  // namespace tstitch::serve
