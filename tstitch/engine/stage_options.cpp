#include "tstitch/engine/stage_options.h"

#include <vector>

#include "tstitch/base/error.h"
#include "tstitch/base/numbers.h"
#include "tstitch/engine/key_values.h"

namespace tstitch {
namespace {

std::string named(std::string_view key) { return concat("--stage: ", key, '='); }

GuidanceInterval interval_of(std::string_view key, const std::string& text) {
  const auto [low, high] = read_interval(named(key), text);
  return {low, high};
}

using Texts = std::vector<std::string>;

struct Key {
  std::string_view name;
  bool setting;  // how the stage is asked, not who it is and how long
  void (*parse)(std::string_view key, const std::string& text, StageOptions& stage);
  Texts (*print)(const StageOptions& stage);  // its values, none where it is not said
  bool repeats = false;                       // may be said several times
};

constexpr Key kKeys[] = {
    {"model", false, [](std::string_view, const std::string& text, StageOptions& s) { s.model = text; },
     [](const StageOptions& s) { return s.model.empty() ? Texts() : Texts{s.model}; }},
    {"share", false,
     [](std::string_view key, const std::string& text, StageOptions& s) {
       s.share = read_share(named(key), text);
     },
     [](const StageOptions& s) { return s.share ? Texts{number_text(*s.share)} : Texts(); }},
    {"until", false,
     [](std::string_view key, const std::string& text, StageOptions& s) {
       s.until = read_number<int>(named(key), text);
     },
     [](const StageOptions& s) { return s.until ? Texts{std::to_string(*s.until)} : Texts(); }},
    {"cfg", true,
     [](std::string_view key, const std::string& text, StageOptions& s) {
       s.cfg_scale = read_number<double>(named(key), text);
     },
     [](const StageOptions& s) { return s.cfg_scale ? Texts{number_text(*s.cfg_scale)} : Texts(); }},
    {"cfg-interval", true,
     [](std::string_view key, const std::string& text, StageOptions& s) {
       s.cfg_interval = interval_of(key, text);
     },
     [](const StageOptions& s) {
       return s.cfg_interval
                  ? Texts{concat(number_text(s.cfg_interval->low), ':', number_text(s.cfg_interval->high))}
                  : Texts();
     }},
    {"negative", true,
     [](std::string_view, const std::string& text, StageOptions& s) { s.negative_prompt = text; },
     [](const StageOptions& s) { return s.negative_prompt ? Texts{*s.negative_prompt} : Texts(); }},
    {"lora", true,
     [](std::string_view key, const std::string& text, StageOptions& s) {
       s.loras.push_back(parse_lora(named(key), text));
     },
     [](const StageOptions& s) {
       Texts texts;
       for (const LoraOption& lora : s.loras) texts.push_back(to_string(lora));
       return texts;
     },
     true},
    {"control", true,
     [](std::string_view, const std::string& text, StageOptions& s) { s.controls.push_back(text); },
     [](const StageOptions& s) { return s.controls; }, true},
    {"dtype", true,
     [](std::string_view key, const std::string& text, StageOptions& s) {
       check(text == "f32" || text == "bf16" || text == "int8", ErrorKind::usage, named(key), " is \"",
             printable(text), "\", expected f32, bf16 or int8");
       s.dtype = text;
     },
     [](const StageOptions& s) { return s.dtype ? Texts{*s.dtype} : Texts(); }}};

std::string printed(const StageOptions& stage, bool settings_only) {
  std::string text;
  for (const Key& key : kKeys)
    if (key.setting || !settings_only)
      for (const std::string& value : key.print(stage))
        text += concat(text.empty() ? "" : ",", key.name, '=', quoted_value(value));
  return text;
}

}  // namespace

StageOptions parse_stage(const std::string& text) {
  StageOptions stage;
  take_key_values("--stage", text, 0, kKeys,
                  [&](const Key& key, const std::string& value) { key.parse(key.name, value, stage); });
  check(!(stage.share && stage.until), ErrorKind::usage, "--stage: share= and until= exclude each other");
  return stage;
}

std::string to_string(const StageOptions& stage) { return printed(stage, false); }

std::string settings_of(const StageOptions& stage) { return printed(stage, true); }

}  // namespace tstitch
