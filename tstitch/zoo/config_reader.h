#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace tstitch {

// The values of a configuration object, each with its type and range checked. A key that is absent or null
// leaves the value as it is. All throw Error{input} with the place, the key and what was found instead.
class ConfigReader {
 public:
  // where: the file, as messages name it. The object must outlive the reader.
  ConfigReader(const nlohmann::json& object, std::string where);

  void read(const char* key, int64_t& value, int64_t low, int64_t high) const;
  void read(const char* key, double& value, double low, double high) const;
  void read(const char* key, bool& value) const;
  void read(const char* key, std::string& value) const;
  void read(const char* key, std::vector<std::string>& values) const;
  void read(const char* key, std::vector<int64_t>& values, int64_t low, int64_t high) const;
  // One of `known`; Error{input} lists them.
  void read(const char* key, std::string& value, const std::vector<std::string>& known) const;

  const std::string& where() const { return where_; }

 private:
  const nlohmann::json* find(const char* key) const;
  template <class... Parts>
  [[noreturn]] void unexpected(const char* key, const nlohmann::json& found, const Parts&... expected) const;
  int64_t integer(const char* key, const nlohmann::json& found, int64_t low, int64_t high) const;
  std::string text(const char* key, const nlohmann::json& found) const;

  const nlohmann::json& object_;
  std::string where_;
};

}  // namespace tstitch
