#include "tstitch/io/json.h"

#include <vector>

#include "tstitch/io/file.h"
#include "tstitch/io/json_walk.h"

namespace tstitch {
namespace {

using nlohmann::json;

class TreeBuilder final : public JsonVisitor {
 public:
  explicit TreeBuilder(const std::string& where)
      : JsonVisitor(
            {.where = where, .encoding_code = "JSON_SYNTAX", .syntax_code = "JSON_SYNTAX", .unit = "byte"}) {}

  json take() { return std::move(root_); }

  void begin(bool object) override { open_.push_back(add(object ? json::object() : json::array())); }
  void end() override { open_.pop_back(); }
  void scalar(json value) override { add(std::move(value)); }

  void key(std::string& name) override {
    if (open_.back()->contains(name))
      refuse_here("JSON_DUPLICATE_KEY", "the key \"", printable(name), "\" twice");
    key_ = std::move(name);
  }

 private:
  json* add(json value) {
    if (open_.empty()) return &(root_ = std::move(value));
    json& parent = *open_.back();
    if (parent.is_object()) return &(parent[key_] = std::move(value));
    parent.push_back(std::move(value));
    return &parent.back();
  }

  json root_;
  std::vector<json*> open_;  // from the root to the innermost object or array; those do not move while open
  std::string key_;
};

// In quotes where it is in none. No other word of JSON contains one of these.
std::string quote_constants(std::string_view text) {
  std::string quoted;
  bool in_string = false;
  for (size_t i = 0; i < text.size();) {
    size_t length = 1;
    if (in_string) {
      if (text[i] == '\\' && i + 1 < text.size()) length = 2;
    } else {
      for (const std::string_view constant : {"-Infinity", "Infinity", "NaN"})
        if (text.substr(i).starts_with(constant)) length = constant.size();
    }
    if (length == 1 && text[i] == '"') in_string = !in_string;
    const bool constant = length > 2;
    if (constant) quoted += '"';
    quoted += text.substr(i, length);
    if (constant) quoted += '"';
    i += length;
  }
  return quoted;
}

template <class Parse>
json parse_file(const std::string& path, const Parse& parse) {
  const MappedFile file(path);
  return file.parsed([&](std::span<const std::byte> bytes) {
    return parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path);
  });
}

}  // namespace

json parse_json(std::string_view text, const std::string& where) {
  if (text.size() > kMostJsonBytes)
    refuse(where, "RES_LIMIT", text.size(), " bytes of JSON, expected at most ", kMostJsonBytes);
  TreeBuilder builder(where);
  builder.walk(text);
  return builder.take();
}

json parse_python_json(std::string_view text, const std::string& where) {
  if (text.size() > kMostJsonBytes) return parse_json(text, where);  // which refuses it
  return parse_json(quote_constants(text), where);
}

json parse_json_file(const std::string& path) { return parse_file(path, parse_json); }
json parse_python_json_file(const std::string& path) { return parse_file(path, parse_python_json); }

std::string json_text(const nlohmann::ordered_json& value) {
  return value.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace tstitch
