#include "tstitch/engine/stage_options.h"

#include <algorithm>
#include <vector>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/base/numbers.h"
#include "tstitch/engine/key_values.h"

namespace tstitch {
namespace {

GuidanceInterval interval_of(const std::string& what, const std::string& text) {
  const auto [low, high] = read_interval(what, text);
  return {low, high};
}

using Texts = std::vector<std::string>;

// One at the least.
Texts parts_of(const std::string& text, char between) {
  Texts parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(between, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

constexpr double kMostMerged = 0.75;  // all that are no targets
constexpr int64_t kLeastOften = 1000;
constexpr double kLargestPower = 10;
constexpr int64_t kMostBlocks = 1024;

double merge_of(const std::string& what, const std::string& text) {
  const double merge = read_fraction(what, text);
  check(0 < merge && merge <= kMostMerged, ErrorKind::usage, what, " is ", printable(text),
        ", expected more than 0 ... ", kMostMerged, " of the tokens");
  return merge;
}

// "N", and behind it in any order, each behind a colon, "paper" or "helper", "center=EVALUATION" and, with
// that, "power=POWER".
BlockCache cache_of(const std::string& what, const std::string& text) {
  const std::vector<std::string> parts = parts_of(text, ':');
  BlockCache cache;
  cache.every = read_number<int64_t>(what, parts[0]);
  check(2 <= cache.every && cache.every <= kLeastOften, ErrorKind::usage, what, " is ", printable(text),
        ", expected that one of 2 ... ", kLeastOften, " evaluations is whole");
  std::optional<std::string> form, center, power;
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::string& part = parts[i];
    const size_t equals = part.find('=');
    const std::string name = part.substr(0, equals);
    std::optional<std::string>* const place = part == "paper" || part == "helper" ? &form
                                              : equals == part.npos               ? nullptr
                                              : name == "center"                  ? &center
                                              : name == "power"                   ? &power
                                                                                  : nullptr;
    check(place && !*place, ErrorKind::usage, what, " is \"", printable(text),
          "\", expected N, N:paper or N:helper, and perhaps :center=EVALUATION and :power=POWER");
    *place = equals == part.npos ? part : part.substr(equals + 1);
  }
  if (form == "helper") cache.form = BlockCache::Form::helper;
  check(center || !power, ErrorKind::usage, what, " is \"", printable(text),
        "\": power= is for evaluations around a center=, which is not said");
  if (!center) return cache;
  BlockCache::Focus& focus = cache.focus.emplace();
  focus.center = read_number<int64_t>(what + " center=", *center);
  check(0 <= focus.center && focus.center <= kLeastOften, ErrorKind::usage, what, " center= is ",
        printable(*center), ", expected 0 ... ", kLeastOften, ", an evaluation of the stage");
  if (power) focus.power = read_number<double>(what + " power=", *power);
  check(1 < focus.power && focus.power <= kLargestPower, ErrorKind::usage, what, " power= is ",
        printable(power.value_or("")), ", expected more than 1 ... ", kLargestPower);
  return cache;
}

std::string to_string(const BlockCache& cache) {
  std::string text = concat(cache.every, cache.form == BlockCache::Form::helper ? ":helper" : "");
  if (!cache.focus) return text;
  const BlockCache::Focus usual{.center = cache.focus->center};
  return concat(text, ":center=", cache.focus->center,
                *cache.focus == usual ? "" : ":power=" + number_text(cache.focus->power));
}

// "3+7+12" or, of neighbours, "3-5+12", added to those that are there.
void add_blocks(const std::string& what, const std::string& text, std::vector<int64_t>& blocks) {
  for (const std::string& part : parts_of(text, '+')) {
    const size_t dash = part.find('-');
    const auto first = read_number<int64_t>(what, part.substr(0, dash)),
               last = dash == part.npos ? first : read_number<int64_t>(what, part.substr(dash + 1));
    check(0 <= first && first <= last && last < kMostBlocks, ErrorKind::usage, what, " is \"",
          printable(text), "\", expected the numbers of blocks, from 0, as 3+7+12 or 3-5+12");
    for (int64_t block = first; block <= last; ++block) blocks.push_back(block);
  }
  std::ranges::sort(blocks);
  const auto twice = std::ranges::adjacent_find(blocks);
  check(twice == blocks.end(), ErrorKind::usage, what, " names block ", twice == blocks.end() ? 0 : *twice,
        " twice");
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
     [](const std::string& what, const std::string& text, StageOptions& s) {
       s.loras.push_back(parse_lora(what, text));
     },
     [](const StageOptions& s) {
       Texts texts;
       for (const LoraOption& lora : s.loras) texts.push_back(to_string(lora));
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
       s.form.merge = merge_of(what, text);
     },
     [](const StageOptions& s) { return s.form.merge > 0 ? Texts{number_text(s.form.merge)} : Texts(); }},
    {"cache", true,
     [](const std::string& what, const std::string& text, StageOptions& s) {
       s.form.cache = cache_of(what, text);
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

StageOptions parse_twin(const std::string& text) {
  std::string stage;
  for (size_t at = 0; skip_spaces(text, at);) {
    const std::string part = take_value("--twin", text, at);
    check(part == "int8" || part.starts_with("merge=") || part.starts_with("cache=") ||
              part.starts_with("skip="),
          ErrorKind::usage, "--twin is \"", printable(text),
          "\", expected int8, merge=RATIO, cache=N or skip=BLOCKS, commas between");
    stage += concat(stage.empty() ? "" : ",", part == "int8" ? "dtype=" : "", part);
  }
  return parsed("--twin", stage);
}

std::string to_string(const CheaperForm& form) {
  StageOptions stage;
  stage.form = form;
  return settings_of(stage);
}

}  // namespace tstitch
