#include "tstitch/zoo/config_reader.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "tstitch/base/error.h"

namespace tstitch {

using nlohmann::json;

ConfigReader::ConfigReader(const json& object, std::string where)
    : object_(object), where_(std::move(where)) {
  check(object.is_object(), ErrorKind::input, where_, ": expected a JSON object");
}

const json* ConfigReader::find(const char* key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

template <class... Parts>
void ConfigReader::unexpected(const char* key, const json& found, const Parts&... expected) const {
  const std::string shown = printable(found.dump(-1, ' ', true, json::error_handler_t::replace), 60);
  fail(ErrorKind::input, where_, ": \"", key, "\" is ", shown, ", expected ", expected...);
}

int64_t ConfigReader::integer(const char* key, const json& found, int64_t low, int64_t high) const {
  // 4.0 is an integer to whoever wrote it from Python.
  const bool whole = found.is_number_integer() ||
                     (found.is_number_float() && found.get<double>() == std::floor(found.get<double>()));
  if (!whole || found < low || found > high) unexpected(key, found, "an integer ", low, " ... ", high);
  return found.is_number_float() ? static_cast<int64_t>(found.get<double>()) : found.get<int64_t>();
}

std::string ConfigReader::text(const char* key, const json& found) const {
  if (!found.is_string()) unexpected(key, found, "a string");
  return printable(found.get<std::string>());
}

void ConfigReader::read(const char* key, int64_t& value, int64_t low, int64_t high) const {
  if (const json* found = find(key)) value = integer(key, *found, low, high);
}

void ConfigReader::read(const char* key, double& value, double low, double high) const {
  const json* found = find(key);
  if (!found) return;
  if (!found->is_number() || !(*found >= low && *found <= high))
    unexpected(key, *found, "a number ", low, " ... ", high);
  value = found->get<double>();
}

void ConfigReader::read(const char* key, bool& value) const {
  const json* found = find(key);
  if (!found) return;
  if (!found->is_boolean()) unexpected(key, *found, "true or false");
  value = found->get<bool>();
}

void ConfigReader::read(const char* key, std::string& value) const {
  if (const json* found = find(key)) value = text(key, *found);
}

void ConfigReader::read(const char* key, std::string& value, const std::vector<std::string>& known) const {
  const json* found = find(key);
  if (!found) return;
  const std::string name = text(key, *found);
  std::string names;
  for (const std::string& one : known) names += concat(names.empty() ? "\"" : ", \"", one, "\"");
  if (std::ranges::find(known, name) == known.end()) unexpected(key, *found, "one of ", names);
  value = name;
}

void ConfigReader::read(const char* key, std::vector<std::string>& values) const {
  const json* found = find(key);
  if (!found) return;
  if (!found->is_array()) unexpected(key, *found, "an array of strings");
  values.clear();
  for (const json& element : *found) values.push_back(text(key, element));
}

void ConfigReader::read(const char* key, std::vector<int64_t>& values, int64_t low, int64_t high) const {
  const json* found = find(key);
  if (!found) return;
  if (!found->is_array()) unexpected(key, *found, "an array of integers");
  values.clear();
  for (const json& element : *found) values.push_back(integer(key, element, low, high));
}

}  // namespace tstitch
