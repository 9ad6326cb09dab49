// The values of fields as texts and as JSON, by their types.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tstitch/base/error.h"
#include "tstitch/base/numbers.h"
#include "tstitch/condition/picture_sizes.h"
#include "tstitch/diffusion/blend.h"
#include "tstitch/diffusion/switch_rule.h"
#include "tstitch/diffusion/timesteps.h"
#include "tstitch/engine/fields.h"
#include "tstitch/text/prompt.h"

namespace tstitch {

inline void read(const Field&, const std::string& text, std::string& value) { value = text; }

inline void read(const Field&, const std::string& text, bool& value) { value = text == "true"; }

template <Number Value>
void read(const Field& field, const std::string& text, Value& value) {
  value = read_number<Value>(field.option(), text);
}

template <class Name>
void read_name(const Field& field, const std::string& text, Name& value, std::optional<Name> parsed,
               const std::string& names) {
  check(parsed.has_value(), ErrorKind::usage, field.option(), " \"", printable(text),
        "\" is not known, expected one of: ", names);
  value = *parsed;
}
inline void read(const Field& field, const std::string& text, SwitchRule& value) {
  read_name(field, text, value, parse_switch_rule(text), "dit, ldm, step, lcm, round");
}
inline void read(const Field& field, const std::string& text, Spacing& value) {
  read_name(field, text, value, parse_spacing(text), spacing_names());
}
inline void read(const Field& field, const std::string& text, PromptStyle& value) {
  read_name(field, text, value, parse_prompt_style(text), "webui, plain");
}
inline void read(const Field& field, const std::string& text, Blend& value) {
  read_name(field, text, value, parse_blend(text), "step, x0");
}
inline void read(const Field& field, const std::string& text, SigmaSpacing& value) {
  read_name(field, text, value, parse_sigma_spacing(text), sigma_spacing_names());
}

// Two numbers with a sign between: 1024x768 or 0,64.
inline std::pair<int64_t, int64_t> read_pair(const Field& field, const std::string& text, char between,
                                             const char* form) {
  const size_t at = text.find(between);
  check(at != text.npos, ErrorKind::usage, field.option(), " is \"", printable(text), "\", expected ", form);
  return {read_number<int64_t>(field.option(), text.substr(0, at)),
          read_number<int64_t>(field.option(), text.substr(at + 1))};
}
inline void read(const Field& field, const std::string& text, PixelSize& value) {
  std::tie(value.width, value.height) = read_pair(field, text, 'x', "WIDTHxHEIGHT");
}
inline void read(const Field& field, const std::string& text, PixelPoint& value) {
  std::tie(value.left, value.top) = read_pair(field, text, ',', "LEFT,TOP");
}

template <class Value>
void read(const Field& field, const std::string& text, std::optional<Value>& value) {
  read(field, text, value.emplace());
}

inline std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    std::string part = text.substr(begin, end - begin);
    part.erase(0, part.find_first_not_of(' '));
    part.erase(part.find_last_not_of(' ') + 1);
    parts.push_back(part);
    begin = end + 1;
  }
  return parts;
}

template <class Value>
void read(const Field& field, const Texts& texts, Value& value) {
  read(field, texts.at(0), value);
}
template <class Value>
void read(const Field& field, const Texts& texts, std::vector<Value>& values) {
  values.clear();
  for (const std::string& text : texts)
    for (const std::string& part : split(text)) read(field, part, values.emplace_back());
}

inline nlohmann::json value_of(std::string_view value) {
  return value.empty() ? nlohmann::json() : nlohmann::json(value);
}
template <Number Value>
nlohmann::json value_of(Value value) {
  return value;
}
inline nlohmann::json value_of(SwitchRule rule) { return name_of(rule); }
inline nlohmann::json value_of(Spacing spacing) { return name_of(spacing); }
inline nlohmann::json value_of(SigmaSpacing spacing) { return name_of(spacing); }
inline nlohmann::json value_of(Blend blend) { return name_of(blend); }
inline nlohmann::json value_of(PromptStyle style) { return name_of(style); }
inline nlohmann::json value_of(PixelSize size) { return concat(size.width, "x", size.height); }
inline nlohmann::json value_of(PixelPoint point) { return concat(point.left, ",", point.top); }
template <class Value>
nlohmann::json value_of(const std::optional<Value>& value) {
  return value ? value_of(*value) : nlohmann::json();
}
template <class Value>
nlohmann::json value_of(const std::vector<Value>& values) {
  return values.empty() ? nlohmann::json() : nlohmann::json(values);
}

}  // namespace tstitch
