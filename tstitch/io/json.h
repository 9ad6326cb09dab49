#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace tstitch {

// One JSON value from untrusted bytes: UTF-8 throughout, nothing but white space around it, at most 64 levels
// deep, no key twice in an object (also when written with different escapes), at most 8 MiB.
//
// Throws Error{input} "where: [JSON_SYNTAX] byte 17: ..." (also JSON_DEPTH, JSON_DUPLICATE_KEY, RES_LIMIT).
nlohmann::json parse_json(std::string_view text, const std::string& where);
nlohmann::json parse_json_file(const std::string& path);
// As Python writes it: Infinity, -Infinity and NaN, which JSON has no numbers for, are read as strings of
// these names.
nlohmann::json parse_python_json(std::string_view text, const std::string& where);
nlohmann::json parse_python_json_file(const std::string& path);
inline constexpr size_t kMostJsonBytes = 8 << 20;

// Indented. What is not UTF-8, as names of files may be, is replaced: it must not stop a report.
std::string json_text(const nlohmann::ordered_json& json);

}  // namespace tstitch
