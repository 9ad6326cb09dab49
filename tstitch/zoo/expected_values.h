#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>

namespace tstitch {

// A key of a configuration that changes the network in a way that is not known here, and the value that
// leaves the network as it is.
struct ExpectedValue {
  const char* key;
  nlohmann::json value;
};

// Throws Error{input} naming the first key with another value; absent keys and null say nothing.
void check_values(const nlohmann::json& object, const std::string& where,
                  std::span<const ExpectedValue> expected);

}  // namespace tstitch
