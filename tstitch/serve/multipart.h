// Forms with files, multipart/form-data (RFC 7578).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tstitch::serve {

struct FormPart {
  std::string name, file_name;  // file_name: "" of a field
  std::string_view content;     // within the body
};

// content_type: the request's header, with the boundary. Throws Refusal{400} for a body that is no such form,
// or of more than 64 parts.
std::vector<FormPart> parse_multipart(std::string_view content_type, std::string_view body);

}  // namespace tstitch::serve
