#include "tstitch/condition/padding_token.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tstitch/base/error.h"
#include "tstitch/io/json.h"
#include "tstitch/text/clip_tokenizer.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kKey = "pad_token";

struct Token {
  const char* text;
  int32_t id;
};
// What CLIP's tokenizers have been seen to pad with; "!" is the first token, OpenCLIP's 0.
constexpr Token kTokens[] = {
    {"<|endoftext|>", ClipTokenizer::kEnd}, {"<|startoftext|>", ClipTokenizer::kBegin}, {"!", 0}};

json object_of(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return json::object();
  json object = parse_json_file(path.string());
  check(object.is_object(), ErrorKind::input, path.string(), ": expected a JSON object");
  return object;
}

// A token is its text, or an object with it and how it is to be matched.
std::string text_of(const json& object, const std::string& where) {
  const json token = object.value(kKey, json());
  if (token.is_null()) return "";
  const json text = token.is_object() ? token.value("content", json()) : token;
  check(text.is_string(), ErrorKind::input, where, ": \"", kKey, "\" is not a token");
  return text.get<std::string>();
}

}  // namespace

std::optional<int32_t> find_padding(const std::string& text_encoder) {
  const fs::path path = text_encoder;
  const std::string name = path.filename().string();
  constexpr std::string_view kEncoder = "text_encoder";
  if (!name.starts_with(kEncoder)) return std::nullopt;
  const fs::path folder = path.parent_path() / concat("tokenizer", name.substr(kEncoder.size())),
                 config_path = folder / "tokenizer_config.json",
                 map_path = folder / "special_tokens_map.json";
  const json config = object_of(config_path);
  // As transformers: the configuration is final where it lists the tokens; older ones yield to the map, and
  // Stable Diffusion 2's contradicts it.
  fs::path where = config_path;
  std::string token = text_of(config, where.string());
  if (!config.contains("added_tokens_decoder"))
    if (const std::string mapped = text_of(object_of(map_path), map_path.string()); !mapped.empty()) {
      where = map_path;
      token = mapped;
    }
  if (token.empty()) return std::nullopt;
  for (const auto& [text, id] : kTokens)
    if (token == text) return id;
  fail(ErrorKind::input, where.string(), ": \"", kKey, "\" is \"", printable(token, 60),
       "\", expected \"<|endoftext|>\" or \"!\"");
}

}  // namespace tstitch
