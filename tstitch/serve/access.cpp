#include "tstitch/serve/access.h"

#include <algorithm>

#include "tstitch/base/ascii.h"
#include "tstitch/base/error.h"
#include "tstitch/serve/base64.h"

namespace tstitch::serve {
namespace {

// "localhost:7860" and "[::1]:7860" without the port.
std::string_view without_port(std::string_view host) {
  const size_t end = host.starts_with('[') ? host.find(']') : host.npos;
  const size_t colon = host.find(':', end == host.npos ? 0 : end);
  return host.substr(0, colon);
}

bool same_letters(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, ascii_lower, ascii_lower);
}

// Behind a scheme of authorization ("Bearer", of any case) and spaces; nothing for another.
std::optional<std::string_view> behind(std::string_view text, std::string_view scheme) {
  if (text.size() <= scheme.size() || !same_letters(text.substr(0, scheme.size()), scheme) ||
      text[scheme.size()] != ' ')
    return std::nullopt;
  text.remove_prefix(std::min(text.find_first_not_of(' ', scheme.size()), text.size()));
  return text;
}

}  // namespace

bool equal_in_constant_time(std::string_view given, std::string_view expected) {
  volatile unsigned char difference = given.size() != expected.size();
  for (size_t i = 0; i < expected.size(); ++i) {
    const char other = given.empty() ? 0 : given[i % given.size()];
    difference = difference | static_cast<unsigned char>(other ^ expected[i]);
  }
  return difference == 0;
}

std::optional<std::string> Access::caller(const HttpRequest& request) const {
  if (options_.keys.empty()) return "";
  const std::string_view said = request.header("authorization").value_or("");
  std::string user_and_password, password;
  if (const auto bearer = behind(said, "Bearer")) {
    password = *bearer;
  } else if (const auto basic = behind(said, "Basic")) {
    if (const auto bytes = from_base64(*basic))
      user_and_password.assign(reinterpret_cast<const char*>(bytes->data()), bytes->size());
    password = user_and_password.substr(std::min(user_and_password.find(':') + 1, user_and_password.size()));
  }
  std::optional<std::string> found;
  for (size_t i = 0; i < options_.keys.size(); ++i) {
    const bool is_password = equal_in_constant_time(password, options_.keys[i]),
               is_both = equal_in_constant_time(user_and_password, options_.keys[i]);
    if (is_password || is_both) found = std::to_string(i + 1);
  }
  return found;
}

std::string Access::cors_origin(const HttpRequest& request) const {
  const auto origin = request.header("origin");
  return origin && std::ranges::count(options_.cors_origins, *origin) ? std::string(*origin) : "";
}

std::string Access::foreign(const HttpRequest& request) const {
  const std::string_view host = request.header("host").value_or(""), name = without_port(host);
  const bool own =
      options_.any_host || same_letters(name, "localhost") || name == "127.0.0.1" || name == "[::1]" ||
      std::ranges::any_of(options_.allowed_hosts, [&](const auto& one) { return same_letters(name, one); });
  if (!own)
    return concat("the request is for the host \"", printable(std::string(host)),
                  "\", which this server is not (--allowed-host)");
  if (!cors_origin(request).empty()) return "";
  if (const auto origin = request.header("origin")) {
    const size_t slashes = origin->find("://");
    const std::string_view from = slashes == origin->npos ? *origin : origin->substr(slashes + 3);
    if (from != host)
      return concat("the request comes from a page of \"", printable(std::string(*origin)),
                    "\", which may not ask (--cors-origin)");
  }
  if (request.header("sec-fetch-site") == "cross-site" && request.method != "GET")
    return "the request comes from a page of another site";
  return "";
}

}  // namespace tstitch::serve
