#include "tstitch/engine/lora_options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <iterator>

#include "tstitch/base/error.h"
#include "tstitch/base/numbers.h"
#include "tstitch/engine/checkpoint_folder.h"

namespace tstitch {

namespace fs = std::filesystem;

LoraOption parse_lora(const std::string& option, const std::string& text) {
  LoraOption lora{.path = text};
  if (const size_t colon = text.rfind(':'); colon != text.npos) {
    const char* last = text.data() + text.size();
    double weight = 0;
    const auto [end, error] = std::from_chars(text.data() + colon + 1, last, weight);
    const bool is_number = error == std::errc() && end == last;
    // Names of files may hold a colon.
    check(is_number || !is_checkpoint(text.substr(0, colon)) || is_checkpoint(text), ErrorKind::usage, option,
          " \"", printable(text), "\" has the weight \"", printable(text.substr(colon + 1)),
          "\", expected a number");
    if (is_number) lora = {.path = text.substr(0, colon), .weight = weight};
  }
  check(!lora.path.empty(), ErrorKind::usage, option, " is \"", printable(text),
        "\", expected PATH or PATH:WEIGHT");
  check(std::abs(lora.weight) <= kMostLoraWeight, ErrorKind::usage, option, " \"", printable(text),
        "\" has a weight of ", lora.weight, ", expected ", -kMostLoraWeight, " ... ", kMostLoraWeight);
  return lora;
}

std::string to_string(const LoraOption& lora) { return concat(lora.path, ':', number_text(lora.weight)); }

std::map<std::string, std::string> short_names(const std::set<std::string>& paths) {
  // The last `parts` of a path, without its ending; the whole with it where there are no more.
  const auto tail = [](const std::string& path, size_t parts) {
    const fs::path whole = fs::path(path).lexically_normal();
    const auto most = static_cast<size_t>(std::distance(whole.begin(), whole.end()));
    if (parts > most) return path;
    fs::path last;
    for (auto part = std::prev(whole.end(), static_cast<std::ptrdiff_t>(parts)); part != whole.end(); ++part)
      last /= *part;
    const bool is_file = is_checkpoint(last) || last.extension() == ".pth";  // "v1.5" has no ending
    return is_file ? last.replace_extension().string() : last.string();
  };
  std::map<std::string, std::string> names;
  for (const std::string& path : paths) {
    size_t parts = 1;
    const auto is_like = [&](const std::string& other) { return tail(other, parts) == tail(path, parts); };
    while (std::ranges::count_if(paths, is_like) > 1) ++parts;
    names[path] = tail(path, parts);
  }
  return names;
}

}  // namespace tstitch
