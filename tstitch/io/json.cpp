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

}  // namespace

json parse_json(std::string_view text, const std::string& where) {
  if (text.size() > kMostJsonBytes)
    refuse(where, "RES_LIMIT", text.size(), " bytes of JSON, expected at most ", kMostJsonBytes);
  TreeBuilder builder(where);
  builder.walk(text);
  return builder.take();
}

json parse_json_file(const std::string& path) {
  const MappedFile file(path);
  return file.parsed([&](std::span<const std::byte> bytes) {
    return parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path);
  });
}

std::string json_text(const nlohmann::ordered_json& value) {
  return value.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace tstitch
