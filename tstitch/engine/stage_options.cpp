#include "tstitch/engine/stage_options.h"

#include <algorithm>
#include <vector>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/base/numbers.h"
#include "tstitch/engine/form_options.h"
#include "tstitch/engine/key_values.h"

namespace tstitch {
namespace {

GuidanceInterval interval_of(const std::string& what, const std::string& text) {
  const auto [low, high] = read_interval(what, text);
  return {low, high};
}

using Texts = std::vector<std::string>;

constexpr const char* kNone = "none";

void add_lora(const std::string& what, const std::string& text, std::vector<LoraOption>& loras) {
  const LoraOption lora = parse_lora(what, text);
  check(lora.path != kNone || text == kNone, ErrorKind::usage, what, " is \"", printable(text),
        "\", expected none, which has no weight, or ./none for a file of that name");
  loras.push_back(lora);
  check(loras.size() == 1 || std::ranges::count(loras, kNone, &LoraOption::path) == 0, ErrorKind::usage, what,
        " none stands alone");
}

struct Key {
  std::string_view name;
  bool setting;  // how the stage is asked, not who it is and how long
  void (*parse)(const std::string& what, const std::string& text, StageOptions& stage);
  Texts (*print)(const StageOptions& stage);  // its values, none where it is not said
  bool repeats = false;                       // may be said several times
};

constexpr Key kKeys[] = {
    {"model", false, [](const std::string&, const std::string& text, StageOptions& s) { s.model = text; },
     [](const StageOptions& s) { return s.model.empty() ? Texts() : Texts{s.model}; }},
    {"share", false,
     [](const std::string& what, const std::string& text, StageOptions& s) {
       s.share = read_share(what, text);
     },
     [](const StageOptions& s) { return s.share ? Texts{number_text(*s.share)} : Texts(); }},
    {"until", false,
     [](const std::string& what, const std::string& text, StageOptions& s) {
       s.until = read_number<int>(what, text);
     },
     [](const StageOptions& s) { return s.until ? Texts{std::to_string(*s.until)} : Texts(); }},
    {"cfg", true,
     [](const std::string& what, const std::string& text, StageOptions& s) {
       s.cfg_scale = read_number<double>(what, text);
     },
     [](const StageOptions& s) { return s.cfg_scale ? Texts{number_text(*s.cfg_scale)} : Texts(); }},
    {"cfg-interval", true,
     [](const std::string& what, const std::string& text, StageOptions& s) {
       s.cfg_interval = interval_of(what, text);
     },
     [](const StageOptions& s) {
       return s.cfg_interval
                  ? Texts{concat(number_text(s.cfg_interval->low), ':', number_text(s.cfg_interval->high))}
                  : Texts();
     }},
    {"negative", true,
     [](const std::string&, const std::string& text, StageOptions& s) { s.negative_prompt = text; },
     [](const StageOptions& s) { return s.negative_prompt ? Texts{*s.negative_prompt} : Texts(); }},
    {"lora", true,
     [](const std::string& what, const std::string& text, StageOptions& s) { add_lora(what, text, s.loras); },
     [](const StageOptions& s) {
       Texts texts;
       for (const LoraOption& lora : s.loras) texts.push_back(lora.path == kNone ? kNone : to_string(lora));
       return texts;
     },
     true},
    {"control", true,
     [](const std::string&, const std::string& text, StageOptions& s) { s.controls.push_back(text); },
     [](const StageOptions& s) { return s.controls; }, true},
    {"dtype", true,
     [](const std::string& what, const std::string& text, StageOptions& s) {
       check(text == "f32" || text == "bf16" || text == "int8", ErrorKind::usage, what, " is \"",
             printable(text), "\", expected f32, bf16 or int8");
       s.dtype = text;
     },
     [](const StageOptions& s) { return s.dtype ? Texts{*s.dtype} : Texts(); }},
    {"merge", true,
     [](const std::string& what, const std::string& text, StageOptions& s) {
       s.form.merge = parse_merge(what, text);
     },
     [](const StageOptions& s) { return s.form.merge > 0 ? Texts{number_text(s.form.merge)} : Texts(); }},
    {"cache", true,
     [](const std::string& what, const std::string& text, StageOptions& s) {
       s.form.cache = parse_cache(what, text);
     },
     [](const StageOptions& s) { return s.form.cache.holds() ? Texts{to_string(s.form.cache)} : Texts(); }},
    {"skip", true,
     [](const std::string& what, const std::string& text, StageOptions& s) {
       add_blocks(what, text, s.form.skip);
     },
     [](const StageOptions& s) { return s.form.skip.empty() ? Texts() : Texts{join(s.form.skip, "+")}; },
     true}};

std::string printed(const StageOptions& stage, bool settings_only) {
  std::string text;
  for (const Key& key : kKeys)
    if (key.setting || !settings_only)
      for (const std::string& value : key.print(stage))
        text += concat(text.empty() ? "" : ",", key.name, '=', quoted_value(value));
  return text;
}

StageOptions parsed(const std::string& option, const std::string& text) {
  StageOptions stage;
  take_key_values(option, text, 0, kKeys, [&](const Key& key, const std::string& value) {
    key.parse(concat(option, ": ", key.name, '='), value, stage);
  });
  check(!(stage.share && stage.until), ErrorKind::usage, option, ": share= and until= exclude each other");
  return stage;
}

}  // namespace

StageOptions parse_stage(const std::string& text) { return parsed("--stage", text); }

std::string to_string(const StageOptions& stage) { return printed(stage, false); }

std::string settings_of(const StageOptions& stage) { return printed(stage, true); }

StageOptions parse_twin(const std::string& text, const std::string& option) {
  std::string stage, before;
  for (size_t at = 0; skip_spaces(text, at);) {
    const std::string part = take_value(option, text, at);
    check(!before.starts_with("skip=") || part.find_first_not_of("0123456789+-") != part.npos,
          ErrorKind::usage, option, " is \"", printable(text),
          "\", expected + between blocks: ", printable(before), '+', printable(part));
    before = part;
    check(part == "int8" || part.starts_with("merge=") || part.starts_with("cache=") ||
              part.starts_with("skip="),
          ErrorKind::usage, option, " is \"", printable(text),
          "\", expected int8, merge=RATIO, cache=N or skip=BLOCKS, commas between");
    stage += concat(stage.empty() ? "" : ",", part == "int8" ? "dtype=" : "", part);
  }
  return parsed(option, stage);
}

std::string to_string(const CheaperForm& form) {
  StageOptions stage;
  stage.form = form;
  return settings_of(stage);
}

}  // namespace tstitch
