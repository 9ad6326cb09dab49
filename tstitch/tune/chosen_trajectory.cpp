#include "tstitch/tune/chosen_trajectory.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/io/json.h"
#include "tstitch/io/refuse.h"
#include "tstitch/output/run_manifest.h"
#include "tstitch/zoo/assets.h"

namespace tstitch {
namespace {

// The first had no options but sampler, steps and assignment.
constexpr const char *kFormat = "tstitch-plan-2", *kFormatBefore = "tstitch-plan-1";

std::vector<int> assignment_of(const ChosenTrajectory& choice, const std::string& path) {
  try {
    return parse_assignment(choice.assignment, choice.steps);
  } catch (const Error& error) {
    fail(ErrorKind::input, path, ": ", error.what());
  }
}

// What a stage has of its own stands behind its model's name.
std::vector<std::string> models_alone(const ChosenTrajectory& choice) {
  std::vector<std::string> names;
  for (const std::string& name : choice.models) names.push_back(name.substr(0, name.find(" [")));
  return names;
}

bool names_models(const Said& said) {
  const auto stages = said.find("stage");
  return models_said(said) ||
         (stages != said.end() && std::ranges::any_of(stages->second, [](const std::string& text) {
            return !parse_stage(text).model.empty();
          }));
}

// Those that determine a trajectory.
Said planned_options(const nlohmann::json& object, const std::string& where) {
  Said said = said_of(object, where);
  for (const auto& [name, texts] : said)
    check(is_planned(field_named(name)), ErrorKind::input, where, ": an option \"", name,
          "\", which is none of a trajectory");
  return said;
}

}  // namespace

bool is_planned(const Field& field) { return field.group == kTrajectory || field.name == "stage"; }

std::string describe(const std::vector<int>& assignment, const std::vector<std::string>& models) {
  return Trajectory(std::vector<NoiseLevel>(assignment.size() + 1), assignment).describe(models);
}

std::string describe_served(const std::vector<int>& assignment, const std::vector<std::string>& models) {
  std::vector<std::string> spans;
  for (const Segment& span :
       Trajectory(std::vector<NoiseLevel>(assignment.size() + 1), assignment).segments()) {
    const int first = span.first + 1, last = span.first + span.count;
    spans.push_back(concat(models[static_cast<size_t>(span.denoiser)], ": ",
                           first == last ? concat(first) : concat(first, "-", last)));
  }
  return join(spans);
}

void check_no_shares(const SampleOptions& options, const std::string& what) {
  check(options.fractions.empty() && options.switch_steps.empty() && options.assignment.empty() &&
            !options.adaptive,
        ErrorKind::usage, what,
        " says who serves which step: it excludes --ratio, --fractions, --switch-step and --switch auto");
}

std::string to_json(const ChosenTrajectory& p) {
  nlohmann::ordered_json options = nlohmann::ordered_json::object();
  for (const auto& [name, texts] : p.options) {
    const Field& field = field_named(name);
    if (field.form == Field::Form::values)
      options[name] = texts;
    else if (field.form == Field::Form::flag)
      options[name] = texts == Texts{"true"};
    else
      options[name] = join(texts, ",");
  }
  nlohmann::ordered_json json = {
      {"format", kFormat},        {"models", p.models},
      {"sampler", p.sampler},     {"steps_option", p.steps_option},
      {"steps", p.steps},         {"assignment", p.assignment},
      {"levels", p.levels},       {"eta", p.eta},
      {"cfg_scale", p.cfg_scale}, {"options", options},
      {"seconds", p.seconds},     {"seconds_spread", p.seconds_spread},
  };
  if (!p.made_with.loras.empty()) json["made_with"] = to_json(p.made_with);
  if (p.speedup) json["speedup"] = *p.speedup;
  if (!p.command.empty()) json["command"] = p.command;
  if (p.metric) {
    json["metric"] = {{"name", *p.metric}, {"value", p.value}, {"measured", p.measured}};
    if (p.deviation) json["metric"]["deviation"] = *p.deviation;
  } else {
    json["estimated_change"] = {
        {"rms", p.change()}, {"spread", p.change_spread()}, {"first_model_alone", p.largest_change()}};
    json["divergence"] = {
        {"sum", p.divergence}, {"first_model_alone", p.largest_divergence}, {"sigma_data", p.sigma_data}};
    for (const Alternative& one : p.alternatives)
      json["alternatives"].push_back({{"assignment", one.assignment},
                                      {"seconds", one.seconds},
                                      {"speedup", one.speedup},
                                      {"divergence", one.divergence}});
  }
  return json_text(json) + "\n";
}

ChosenTrajectory read_chosen_trajectory(const std::string& path) {
  const nlohmann::json json = parse_json_file(path);
  const std::string where = shown_path(path);
  try {
    const std::string format = json.is_object() ? json.value("format", "") : "";
    const bool before = format == kFormatBefore;
    check(before || format == kFormat, ErrorKind::input, where,
          ": not a plan of `tstitch plan`: \"format\" is not \"", kFormat, "\"");
    ChosenTrajectory choice;
    if (!before) choice.options = planned_options(json.at("options"), where);
    choice.models = json.at("models").get<std::vector<std::string>>();
    if (json.contains("made_with"))
      choice.made_with = made_with_of(json.at("made_with"), choice.models.size(), where);
    choice.sampler = json.at("sampler");
    choice.steps_option = json.at("steps_option");
    check(json.at("steps").is_number_integer(), ErrorKind::input, where, ": \"steps\" is no whole number");
    choice.steps = json.at("steps");
    choice.assignment = json.at("assignment");
    choice.levels = json.at("levels");
    choice.eta = json.at("eta");
    choice.cfg_scale = json.at("cfg_scale");
    check(is_solver(choice.sampler), ErrorKind::input, where, ": the sampler \"", printable(choice.sampler),
          "\" is not known");
    check(0 < choice.steps && choice.steps <= 1'000'000, ErrorKind::input, where, ": a plan of ",
          choice.steps, " steps");
    const std::vector<int> assignment = assignment_of(choice, where);
    check(std::ranges::max(assignment) < std::ssize(choice.models), ErrorKind::input, where,
          ": a step is for model ", std::ranges::max(assignment) + 1, ", but there are ",
          choice.models.size());
    if (before)
      choice.options = {{"sampler", {choice.sampler}},
                        {"steps", {choice.steps_option}},
                        {"assignment", {choice.assignment}}};
    return choice;
  } catch (const nlohmann::json::exception& e) {
    fail(ErrorKind::input, where, ": not a plan of `tstitch plan`: ", printable(e.what(), 200));
  }
}

Said with_choice(const Said& said, const ChosenTrajectory& choice) {
  const auto value = [](const Field& field, const Texts& texts) {
    SampleOptions options;
    field.parse(field, texts, options, {});
    return field.print(options);
  };
  const auto same = [&](const Field& field, const Texts& a, const Texts& b) {
    return !value(field, a).is_null() && value(field, a) == value(field, b);
  };
  for (const auto& [name, texts] : choice.options)
    if (const auto found = said.find(name); found != said.end())
      check(found->second == texts || same(field_named(name), found->second, texts), ErrorKind::usage,
            "the plan is for ", field_named(name).option(), " ", printable(join(texts)), ", not ",
            printable(join(found->second)));
  for (const std::string_view name : kShareFields)
    check(!said.contains(name), ErrorKind::usage, "a plan says who serves which step: it excludes ",
          field_named(name).option());
  return merged(choice.options, said);
}

Said with_models(const Said& before, const Said& said, const ChosenTrajectory& choice) {
  if (names_models(before) || names_models(said)) return before;
  const std::vector<std::string> names = models_alone(choice), known = demo_models();
  for (const std::string& name : names)
    check(std::ranges::count(known, name) > 0, ErrorKind::usage, "the plan is for ",
          printable(join(names, ", "), 300), ", and \"", printable(name),
          "\" is no demo model: name the models with --model");
  Said all = before;
  all["model"] = names;
  return all;
}

void check_models_said(const Said& said, const ChosenTrajectory& choice) {
  if (!said.contains("stage") || !choice.options.contains("stage")) return;
  const std::optional<size_t> models = models_said(said);
  check(!models || *models == choice.models.size(), ErrorKind::usage, "the stages are the plan's, ",
        choice.models.size(), " of them, and there are ", models.value_or(0),
        " models: expected one for each,",
        join(models_alone(choice), "", [](const std::string& name) { return " -m " + printable(name); }));
}

void check_models(const std::vector<ModelInfo>& models, const ChosenTrajectory& choice) {
  check(choice.models == names_of(models), ErrorKind::usage,
        "the plan is for other models: ", printable(join(choice.models)), ", not ",
        printable(join(names_of(models))));
}

void check_chosen(const RunSpec& spec, const ChosenTrajectory& choice) {
  check(format_assignment(spec.trajectory.assignment()) == choice.assignment, ErrorKind::usage,
        "the plan is for other steps: expected ", printable(choice.assignment));
  check(hash_of_levels(spec.trajectory) == choice.levels, ErrorKind::usage,
        "the plan is for other noise levels: expected the --spacing, --scheduler and --strength it was made "
        "with");
  check(*spec.options.cfg_scale == choice.cfg_scale, ErrorKind::usage, "the plan is for --cfg-scale ",
        choice.cfg_scale, ", not ", *spec.options.cfg_scale);
  check(spec.solver.eta == choice.eta, ErrorKind::usage, "the plan is for --eta ", choice.eta, ", not ",
        spec.solver.eta);
}

RunSpec chosen_run(const std::vector<ModelInfo>& models, SampleOptions options,
                   const ChosenTrajectory& choice) {
  options.sampler = choice.sampler;
  check(!choice.steps_option.empty() || !options.spacing.timesteps.empty(), ErrorKind::usage,
        "the plan is for named timesteps: expected the --timesteps it was made with");
  options.steps = choice.steps_option;
  if (!choice.steps_option.empty()) options.spacing.timesteps.clear();
  options.assignment = parse_assignment(choice.assignment, choice.steps);
  check_models(models, choice);
  const RunSpec spec = make_run_spec(models, options);
  check_chosen(spec, choice);
  return spec;
}

}  // namespace tstitch
