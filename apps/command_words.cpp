#include "apps/command_words.h"

#include <algorithm>
#include <string_view>

#include "tstitch/base/error.h"
#include "tstitch/engine/take_loras.h"
#include "tstitch/zoo/assets.h"

namespace tstitch {
namespace {

bool says_models(const Field& field) {
  constexpr std::string_view kNames[] = {"model", "small", "large", "stage", "twin"};
  return std::ranges::count(kNames, field.name) > 0;
}

// " --lora a.safetensors:0.5": what was said of the field.
std::string words_of(const Field& field, const Texts& texts) {
  std::string words;
  const std::string_view flag = field.flags.substr(0, field.flags.find(','));
  for (const std::string& text : texts) {
    words += concat(' ', flag);
    if (field.form != Field::Form::flag) words += concat(' ', in_shell(text));
  }
  return words;
}

// Every stretch of steps as a stage that says who serves it and to which step.
Texts stages_of(const Asked& asked, const RunSpec& chosen) {
  const int last = static_cast<int>(asked.models.size()) - 1;
  Texts texts;
  for (const Segment& span : chosen.trajectory.segments()) {
    const auto form = static_cast<size_t>(span.denoiser);
    StageOptions stage = asked.options.stages.empty() ? StageOptions() : asked.options.stages[form];
    stage.model = asked.options.models[form];
    const bool to_the_end = span.first + span.count == chosen.trajectory.size();
    if (!to_the_end || span.denoiser != last)
      stage.until = chosen.numbers[static_cast<size_t>(span.first + span.count - 1)] + 1;
    texts.push_back(to_string(stage));
    if (!to_the_end || span.denoiser == last) continue;
    StageOptions rest = asked.options.stages.empty() ? StageOptions() : asked.options.stages.back();
    rest.model = asked.options.models.back();
    rest.loras.clear();  // of a stage that serves no step they are refused
    texts.push_back(to_string(rest));
  }
  return texts;
}

// Whether it is the same run, in stages each of its own number.
bool are_alike(const RunSpec& a, const RunSpec& b) {
  const std::vector<Segment> first = a.trajectory.segments(), second = b.trajectory.segments();
  return a.options.sampler == b.options.sampler && a.options.cfg_scale == b.options.cfg_scale &&
         a.solver.eta == b.solver.eta &&
         std::ranges::equal(a.trajectory, b.trajectory, {}, &Step::level, &Step::level) &&
         std::ranges::equal(first, second, {}, &Segment::count, &Segment::count);
}

}  // namespace

std::string in_shell(const std::string& word) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=:,./@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == word.npos) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string words_beside_plan(const Said& said, const Asked& asked, const RunSpec& chosen) {
  std::string words;
  const std::vector<std::string>& models = asked.options.models;
  if (models != builtin_names(says_text(said)))
    for (const std::string& model : models) words += " -m " + in_shell(model);
  for (const Field& field : fields()) {
    const auto found = said.find(field.name);
    if (found == said.end() || says_models(field) || is_planned(field)) continue;
    if (!field.idle || field.idle(chosen, asked.models).empty()) words += words_of(field, found->second);
  }
  return words;
}

std::string command_of(const Said& said, const Asked& asked, const ChosenTrajectory& choice,
                       const RunSpec& chosen) {
  const Texts stages = stages_of(asked, chosen);
  Said with_steps = said;
  if (choice.metric &&
      !choice.steps_option.empty())  // a curve may have chosen other steps than are asked for
    with_steps = merged({{"sampler", {choice.sampler}}, {"steps", {choice.steps_option}}}, said);
  Said all;
  std::string words = "tstitch sample";
  for (const Field& field : fields()) {
    const auto found = with_steps.find(field.name);
    if (found == with_steps.end() || says_models(field)) continue;
    all.insert(*found);
    words += words_of(field, found->second);
  }
  all["stage"] = stages;
  words += words_of(field_named("stage"), stages);
  try {
    const Asked again = read_asked(all);
    const RunSpec spec = make_run_spec(again.models, again.options);
    check_effective(all, spec, again.models);
    check_loras_serve(spec, again.models);
    if (!are_alike(spec, chosen)) return "";
  } catch (const Error&) {
    return "";
  }
  return words;
}

}  // namespace tstitch
