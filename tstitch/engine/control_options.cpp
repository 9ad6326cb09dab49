#include "tstitch/engine/control_options.h"

#include <algorithm>

#include "tstitch/base/error.h"
#include "tstitch/base/numbers.h"
#include "tstitch/engine/key_values.h"

namespace tstitch {
namespace {

CannyThresholds read_canny(const std::string& what, const std::string& text) {
  const auto [low, high] = ends_of(what, text, "100:200");
  const CannyThresholds canny{read_number<int>(what, low), read_number<int>(what, high)};
  check(0 <= canny.low && canny.low <= canny.high, ErrorKind::usage, what, " is ", printable(text),
        ", expected 0 <= LOW <= HIGH");
  return canny;
}

struct Key {
  std::string_view name;
  void (*parse)(const std::string& what, const std::string& text, ControlOption& control);
  std::string (*print)(const ControlOption& control);  // "" where it goes without saying
  bool repeats = false;
};

constexpr Key kKeys[] = {
    {"image", [](const std::string&, const std::string& text, ControlOption& c) { c.image = text; },
     [](const ControlOption& c) { return c.image; }},
    {"strength",
     [](const std::string& what, const std::string& text, ControlOption& c) {
       c.strength = read_number<double>(what, text);
       check(0 < c.strength && c.strength <= kMostControlStrength, ErrorKind::usage, what, " is ",
             printable(text), ", expected more than 0 ... ", kMostControlStrength);
     },
     [](const ControlOption& c) { return c.strength == 1 ? "" : number_text(c.strength); }},
    {"interval",
     [](const std::string& what, const std::string& text, ControlOption& c) {
       const auto [low, high] = read_interval(what, text);
       c.interval = {low, high};
     },
     [](const ControlOption& c) {
       return c.interval == ControlInterval()
                  ? ""
                  : concat(number_text(c.interval.low), ':', number_text(c.interval.high));
     }},
    {"canny",
     [](const std::string& what, const std::string& text, ControlOption& c) {
       c.canny = read_canny(what, text);
     },
     [](const ControlOption& c) { return c.canny ? concat(c.canny->low, ':', c.canny->high) : ""; }}};

}  // namespace

ControlOption parse_control(const std::string& option, const std::string& text) {
  ControlOption control;
  size_t at = 0;
  control.path = take_value(option, text, at);
  take_key_values(option, text, at, kKeys, [&](const Key& key, const std::string& value) {
    key.parse(concat(option, ": ", key.name, '='), value, control);
  });
  check(!control.path.empty() && !control.image.empty(), ErrorKind::usage, option, " is \"", printable(text),
        "\", expected PATH,image=PNG and perhaps strength=, interval=, canny=");
  return control;
}

std::string to_string(const ControlOption& control) {
  std::string text = quoted_value(control.path);
  for (const Key& key : kKeys)
    if (const std::string value = key.print(control); !value.empty())
      text += concat(',', key.name, '=', quoted_value(value));
  return text;
}

}  // namespace tstitch
