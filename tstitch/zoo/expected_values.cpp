#include "tstitch/zoo/expected_values.h"

#include "tstitch/base/error.h"

namespace tstitch {

using nlohmann::json;

void check_values(const json& object, const std::string& where, std::span<const ExpectedValue> expected) {
  check(object.is_object(), ErrorKind::input, where, ": expected a JSON object");
  for (const auto& [key, value] : expected) {
    const auto found = object.find(key);
    if (found == object.end() || *found == value || found->is_null()) continue;
    const std::string shown = printable(found->dump(-1, ' ', true, json::error_handler_t::replace), 60);
    fail(ErrorKind::input, where, ": \"", key, "\" is ", shown, ", expected ", value.dump());
  }
}

}  // namespace tstitch
