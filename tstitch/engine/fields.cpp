#include "tstitch/engine/fields.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/engine/field_table.h"
#include "tstitch/engine/field_values.h"
#include "tstitch/engine/sampler_names.h"
#include "tstitch/io/refuse.h"
#include "tstitch/zoo/assets.h"

namespace tstitch {

using nlohmann::json;
using Models = std::span<const ModelInfo>;

namespace {

bool is_model_field(const Field& field) { return field.group == kModels || field.of_models; }

// The two stages of which one model and its twin are short.
void settle_twin(SampleOptions& options) {
  if (options.twin.empty()) return;
  check(options.models.size() == 1, ErrorKind::usage, "--twin is a cheaper form of one model, and there are ",
        options.models.empty() ? builtin_names().size() : options.models.size(), ": expected one --model");
  options.stages = {parse_twin(options.twin), StageOptions()};
  options.models.push_back(options.models[0]);
}

// Every stage's model, where there are stages; a demo family's where nobody names one.
void settle_models(SampleOptions& options, bool of_text) {
  const bool named =
      !options.models.empty() ||
      std::ranges::any_of(options.stages, [](const StageOptions& s) { return !s.model.empty(); });
  if (!named) options.models = builtin_names(of_text);
  if (options.stages.empty()) return;
  check(options.models.size() <= options.stages.size(), ErrorKind::usage, named ? "" : "the demo family has ",
        named ? "there are " : "", options.models.size(), " models for ", options.stages.size(),
        options.stages.size() == 1 ? " stage" : " stages", ": expected a --stage for each");
  options.models.resize(options.stages.size());
  for (size_t i = 0; i < options.stages.size(); ++i) {
    std::string& model = options.stages[i].model;
    check(model.empty() || options.models[i].empty() || options.models[i] == model, ErrorKind::usage,
          "--stage ", i + 1, ": model= and the --model of that number exclude each other");
    if (!model.empty()) options.models[i] = model;
    model.clear();
    check(!options.models[i].empty(), ErrorKind::usage, "--stage ", i + 1,
          " has no model: expected model=PATH, or a --model of that number");
  }
}

bool says_shares(const Texts& stages) {
  return std::ranges::any_of(stages, [](const std::string& text) {
    const StageOptions stage = parse_stage(text);
    return stage.share || stage.until;
  });
}

// Whether a stage has the LoRA.
bool stages_name_lora(const Said& said, const std::string& path) {
  const auto stages = said.find("stage");
  return stages != said.end() && std::ranges::any_of(stages->second, [&](const std::string& text) {
           return std::ranges::count(parse_stage(text).loras, path, &LoraOption::path) > 0;
         });
}

// The scheduler that the name of the sampler says: "dpm++ 2m karras".
std::optional<SigmaSpacing> scheduler_of_sampler(const Said& said) {
  const auto sampler = said.find("sampler");
  if (sampler == said.end()) return std::nullopt;
  const auto choice = find_sampler(sampler->second.at(0));
  return choice ? choice->scheduler : std::nullopt;
}

}  // namespace

void check_exclusive(const Said& said) {
  if (const auto named = scheduler_of_sampler(said)) {
    const auto scheduler = said.find("scheduler");
    check(scheduler == said.end() || scheduler->second == Texts{std::string(name_of(*named))},
          ErrorKind::usage, "--sampler \"", printable(said.at("sampler").at(0)), "\" means --scheduler ",
          name_of(*named), ", and another is named");
  }
  for (const auto& [name, texts] : said) {
    const Field& field = field_named(name);
    if (field.goes_without_saying(texts)) continue;
    for (const std::string& other : split(field.replaces))
      if (const auto rival = said.find(other);
          other != name && rival != said.end() && !field_named(other).goes_without_saying(rival->second))
        fail(ErrorKind::usage, field.option(), " and ", field_named(other).option(), " exclude each other");
  }
}

std::string Field::option() const {
  for (const std::string& flag : split(std::string(flags)))
    if (flag.starts_with("--")) return flag;
  return std::string(name);
}

bool Field::goes_without_saying(const Texts& texts) const {
  return !neutral.empty() && texts == Texts{std::string(neutral)};
}

std::span<const Field> fields() {
  static const std::vector<Field> all = make_fields();
  return all;
}

const Field* find_field(std::string_view name) {
  const auto found = std::ranges::find(fields(), name, &Field::name);
  return found == fields().end() ? nullptr : &*found;
}

const Field& field_named(std::string_view name) {
  const Field* field = find_field(name);
  check_internal(field != nullptr, "no field \"", name, "\"");
  return *field;
}

bool says_text(const Said& said) { return said.contains("prompt") || said.contains("negative_prompt"); }

std::optional<size_t> models_said(const Said& said) {
  if (said.contains("small") || said.contains("large") || said.contains("twin")) return 2;
  const auto models = said.find("model");
  return models == said.end() ? std::nullopt : std::optional(models->second.size());
}

SampleOptions parse_models(const Said& said) {
  SampleOptions options;
  for (const Field& field : fields())
    if (const auto found = said.find(field.name); found != said.end() && is_model_field(field))
      field.parse(field, found->second, options, {});
  check(options.small.empty() == options.large.empty(), ErrorKind::usage,
        "--small and --large go together, but only ", options.small.empty() ? "--large" : "--small",
        " is there");
  if (!options.small.empty()) options.models = {options.small, options.large};
  options.small.clear();
  options.large.clear();
  settle_twin(options);
  settle_models(options, says_text(said));
  return options;
}

SampleOptions parse_options(const Said& said, Models models, const PictureReader& picture_of) {
  SampleOptions options = parse_models(said);
  for (const Field& field : fields())
    if (const auto found = said.find(field.name); found != said.end() && !is_model_field(field))
      field.parse(field, found->second, options, models);
  settle_stages(options, models.size());
  read_files(options, models, picture_of);
  return options;
}

nlohmann::ordered_json decided(const RunSpec& spec) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const Field& field : fields())
    if (field.decided) object[std::string(field.name)] = field.decided(spec);
  return object;
}

std::vector<std::pair<std::string, std::string>> labelled(const SampleOptions& options, const RunSpec& spec,
                                                          Models models) {
  std::vector<std::pair<std::string, std::string>> texts;
  for (const Field& field : fields()) {
    if (field.label.empty()) continue;
    const json value = field.decided ? field.decided(spec) : field.print(options);
    if (value.is_null() || field.goes_without_saying(texts_of(value))) continue;
    if (field.idle && !field.idle(spec, models).empty()) continue;
    const std::string text = join(texts_of(value));
    texts.emplace_back(field.label, field.spelt ? field.spelt(text) : text);
  }
  return texts;
}

void check_effective(const Said& said, const RunSpec& spec, Models models) {
  for (const auto& [name, texts] : said) {
    const Field& field = field_named(name);
    const std::string reason = field.idle ? field.idle(spec, models) : "";
    check(reason.empty(), ErrorKind::usage, field.option(), " has no effect here: ", reason);
  }
}

nlohmann::ordered_json to_json(const SampleOptions& options, bool passing) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const Field& field : fields())
    if (json value = field.print(options); !value.is_null() && (passing || !field.passing))
      object[std::string(field.name)] = value;
  return object;
}

Texts texts_of(const json& value) {
  const auto text = [](const json& one) {
    return one.is_string()         ? one.get<std::string>()
           : one.is_number_float() ? number_text(one.get<double>())
                                   : one.dump();
  };
  if (!value.is_array()) return {text(value)};
  Texts texts;
  for (const json& one : value) texts.push_back(text(one));
  return texts;
}

Texts texts_of(const Field& field, const json& value, const std::string& where) {
  const auto is_scalar = [&](const json& one) {
    return one.is_number() || (one.is_string() && (field.may_be_empty || one != ""));
  };
  bool fits = field.form == Field::Form::flag ? value.is_boolean() : is_scalar(value);
  if (field.form == Field::Form::values)
    fits = value.is_array() && !value.empty() && std::ranges::all_of(value, is_scalar);
  // Lists of numbers.
  if (field.form == Field::Form::value && value.is_array() && !value.empty())
    fits = std::ranges::all_of(value, [](const json& one) { return one.is_number(); });
  if (!fits)
    refuse(where, "RUN_OPTIONS", "\"", field.name, "\" is ",
           printable(value.dump(-1, ' ', true, json::error_handler_t::replace), 80), ", expected ",
           field.form == Field::Form::flag     ? "true or false"
           : field.form == Field::Form::values ? "a list of texts"
                                               : "a text or a number");
  return texts_of(value);
}

Said said_of(const json& object, const std::string& where) {
  if (!object.is_object()) refuse(where, "RUN_OPTIONS", "not a JSON object");
  Said said;
  for (const auto& [name, value] : object.items()) {
    const Field* field = find_field(name);
    if (!field) refuse(where, "RUN_OPTIONS", "unknown option \"", printable(name), "\"");
    said[name] = texts_of(*field, value, where);
  }
  return said;
}

Said merged(const Said& before, const Said& said) {
  Said all = before;
  if (said.contains("twin")) {  // of the one model that was both, where one was stitched with its twin
    const auto model = all.find("model");
    if (model != all.end() && model->second.size() == 2 && model->second[0] == model->second[1])
      model->second.pop_back();
  }
  const auto models = models_said(said), models_before = models_said(before);
  if (models && models_before && *models != *models_before) {  // shares and stages of others
    for (const std::string_view name : kShareFields) all.erase(std::string(name));
    all.erase("stage");
    all.erase("switch_rule");
  }
  for (const auto& [name, texts] : said) {
    if (name != "stage" || says_shares(texts))
      for (const std::string& other : split(field_named(name).replaces)) all.erase(other);
    all[name] = texts;
  }
  if (!said.contains("scheduler") && scheduler_of_sampler(said)) all.erase("scheduler");
  // What files held is of those that were said then.
  if (const auto contents = all.find("contents"); contents != all.end())
    std::erase_if(contents->second, [&](const std::string& text) {
      const FileContent file = parse_file_content("contents", text);
      return said.contains(file.field) ? file.field != "lora" || !stages_name_lora(before, file.path)
                                       : file.field == "lora" && stages_name_lora(said, file.path);
    });
  // A threshold stays with --switch auto only.
  if (const auto found = all.find("switch"); found == all.end() || found->second != Texts{"auto"})
    if (!said.contains("switch_threshold")) all.erase("switch_threshold");
  return all;
}

}  // namespace tstitch
