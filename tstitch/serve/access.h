// Who may ask a server at all.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tstitch/serve/http.h"

namespace tstitch::serve {

struct AccessOptions {
  std::vector<std::string> keys;           // none: whoever reaches the address
  std::vector<std::string> allowed_hosts;  // without ports; beside names of this machine
  std::vector<std::string> cors_origins;   // whose pages may ask from browsers
  bool any_host = false;                   // the address is not of this machine alone: keys protect it
};

class Access {
 public:
  explicit Access(AccessOptions options) : options_(std::move(options)) {}

  // The number of the key that the request carries, as "Authorization: Bearer KEY" or as the user and
  // password of Basic ("user:password", or the password alone, is the key); "" where none is needed. Nothing
  // for one that is not let in. How long it takes does not depend on how much of a key is right.
  std::optional<std::string> caller(const HttpRequest& request) const;

  // Why the request comes from a page that this server did not give out: another Host than it has, as after
  // DNS rebinding, or another Origin; "" where it does not.
  std::string foreign(const HttpRequest& request) const;
  // The origin that may read the answer, or "".
  std::string cors_origin(const HttpRequest& request) const;

 private:
  const AccessOptions options_;
};

// Compares all bytes of `expected` with bytes of `given`, wherever they first differ.
bool equal_in_constant_time(std::string_view given, std::string_view expected);

}  // namespace tstitch::serve
