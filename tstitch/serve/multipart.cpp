#include "tstitch/serve/multipart.h"

#include <algorithm>
#include <optional>

#include "tstitch/base/ascii.h"
#include "tstitch/serve/refusal.h"

namespace tstitch::serve {
namespace {

constexpr size_t kMostParts = 64, kMostHeadBytes = 4096;

[[noreturn]] void refuse_form(const std::string& why) {
  throw Refusal(400, "invalid_form", "the form cannot be read: " + why);
}

// Of a header's "; name=value" or "; name="value"".
std::optional<std::string> parameter(std::string_view header, std::string_view name) {
  for (size_t at = header.find(';'); at != header.npos; at = header.find(';', at)) {
    at = header.find_first_not_of(" \t", at + 1);
    if (at == header.npos) return std::nullopt;
    const size_t equals = header.find('=', at);
    if (equals == header.npos) return std::nullopt;
    const bool it = ascii_lowered(header.substr(at, equals - at)) == name;
    std::string value;
    at = equals + 1;
    if (at < header.size() && header[at] == '"') {
      for (++at; at < header.size() && header[at] != '"'; ++at) {
        if (header[at] == '\\' && at + 1 < header.size()) ++at;
        value += header[at];
      }
    } else {
      const size_t end = std::min(header.find_first_of("; \t", at), header.size());
      value = header.substr(at, end - at);
    }
    if (it) return value;
  }
  return std::nullopt;
}

FormPart part_of(std::string_view text) {
  const size_t end = text.substr(0, kMostHeadBytes).find("\r\n\r\n");
  if (end == text.npos) refuse_form("a part has no head");
  FormPart part{.name = {}, .file_name = {}, .content = text.substr(end + 4)};
  std::string_view head = text.substr(0, end);
  while (!head.empty()) {
    const std::string_view line = head.substr(0, head.find("\r\n"));
    head.remove_prefix(std::min(line.size() + 2, head.size()));
    if (!ascii_lowered(line.substr(0, line.find(':'))).starts_with("content-disposition")) continue;
    part.name = parameter(line, "name").value_or("");
    part.file_name = parameter(line, "filename").value_or("");
  }
  if (part.name.empty()) refuse_form("a part has no name");
  return part;
}

}  // namespace

std::vector<FormPart> parse_multipart(std::string_view content_type, std::string_view body) {
  const auto boundary = parameter(content_type, "boundary");
  if (!boundary || boundary->empty() || boundary->size() > 70) refuse_form("Content-Type has no boundary");
  const std::string first = "--" + *boundary, next = "\r\n" + first;
  if (!body.starts_with(first)) refuse_form("it does not begin with its boundary");
  body.remove_prefix(first.size());
  std::vector<FormPart> parts;
  while (!body.starts_with("--")) {
    if (!body.starts_with("\r\n")) refuse_form("behind a boundary the line does not end");
    body.remove_prefix(2);
    const size_t end = body.find(next);
    if (end == body.npos) refuse_form("it does not end with its boundary");
    if (parts.size() == kMostParts) refuse_form("it has too many parts");
    parts.push_back(part_of(body.substr(0, end)));
    body.remove_prefix(end + next.size());
  }
  return parts;
}

}  // namespace tstitch::serve
