#include "tstitch/tune/made_with.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/base/numbers.h"
#include "tstitch/engine/engine.h"
#include "tstitch/engine/fields.h"
#include "tstitch/text/prompt.h"
#include "tstitch/zoo/control_net.h"
#include "tstitch/zoo/latents.h"
#include "tstitch/zoo/model_content.h"

namespace tstitch {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

using AddedFiles = std::vector<std::vector<AddedFile>>;

// The fields that no plan holds among its options and that change what models answer, or what pictures are
// made of that. The first are told before those whose defaults follow from them.
constexpr std::string_view kCompared[] = {
    "width",        "height", "weights",         "prediction",
    "dtype",        "vae",    "clip_skip",       "prompt_style",
    "empty_prompt", "uncond", "original_size",   "crop",
    "target_size",  "blend",  "aesthetic_score", "negative_aesthetic_score",
};

// "" for nothing.
std::string text_of(const json& value) { return value.is_null() ? "" : join(texts_of(value)); }

// What the field comes to in the run, whatever its file is called.
std::string setting_of(const Field& field, const RunSpec& spec, const std::vector<ModelInfo>& models,
                       const std::function<void()>& between) {
  if (field.name == "prediction")
    return join(models, ", ", [](const ModelInfo& model) { return name_of(model.prediction); });
  if (field.name == "empty_prompt")
    return join(spec.stages, ", ",
                [](const Stage& stage) { return stage.negative_is_zeros ? "zeros" : "encode"; });
  if (const std::string& vae = spec.options.vae; field.name == "vae")
    return vae.empty() ? "" : content_of(find_decoder(vae), WeightChoice::automatic, between);
  return text_of(field.identity ? field.identity(field, spec) : field.print(spec.options));
}

std::map<std::string, std::string> compared_settings(const RunSpec& spec,
                                                     const std::vector<ModelInfo>& models,
                                                     const std::function<void()>& between) {
  std::map<std::string, std::string> settings;
  for (const std::string_view name : kCompared) {
    const Field& field = field_named(name);
    // Nothing to compare with: plans need no decoder.
    if (name == "vae" && spec.options.vae.empty() && !is_decodable(models.back(), "")) continue;
    if (!field.idle || field.idle(spec, models).empty())
      settings[std::string(name)] = setting_of(field, spec, models, between);
  }
  return settings;
}

AddedFiles loras_of(const std::vector<ModelInfo>& models) {
  AddedFiles all;
  for (const ModelInfo& model : models) {
    all.emplace_back();
    for (const Lora& lora : model.loras)
      all.back().push_back({.name = std::filesystem::path(lora.path).filename().string(),
                            .content = held_by(lora).content,
                            .how = concat("x ", number_text(lora.weight))});
  }
  return all;
}

AddedFiles control_nets_of(const RunSpec& spec, const std::vector<ModelInfo>& models) {
  AddedFiles all;
  for (const ModelInfo& model : models) {
    all.emplace_back();
    for (const auto& [number, net] : model.controls) {
      const ControlOption& control = spec.options.controls[number];
      std::string how = concat("x ", number_text(control.strength));
      if (const auto [low, high] = control.interval; control.interval != ControlInterval())
        how += concat(" in ", number_text(low), ":", number_text(high));
      all.back().push_back({.name = net->name, .content = net->content, .how = how});
    }
  }
  return all;
}

ordered_json json_of(const AddedFiles& all) {
  ordered_json models = ordered_json::array();
  for (const std::vector<AddedFile>& files : all) {
    models.emplace_back(ordered_json::array());
    for (const auto& [name, content, how] : files)
      models.back().push_back({{"name", name}, {"content", content}, {"how", how}});
  }
  return models;
}

AddedFiles files_of(const json& object, const char* key, size_t models, const std::string& where) {
  AddedFiles all;
  for (const json& files : object.at(key)) {
    all.emplace_back();
    for (const json& file : files)
      all.back().push_back({.name = file.at("name"), .content = file.at("content"), .how = file.at("how")});
  }
  check(all.size() == models, ErrorKind::input, where, ": \"", key, "\" is of ", all.size(), " models, of ",
        models);
  return all;
}

std::string shown(const std::vector<AddedFile>& files) {
  if (files.empty()) return "none";
  return printable(
      join(files, ", ",
           [](const AddedFile& file) { return concat(file.name, ' ', file.how, " (", file.content, ')'); }),
      200);
}

void check_files(const Field& field, const AddedFiles& plan, const AddedFiles& run, const RunSpec& spec,
                 const std::vector<ModelInfo>& models) {
  for (size_t i = 0; i < models.size(); ++i) {
    const std::vector<AddedFile> planned = plan.empty() ? std::vector<AddedFile>() : plan[i];
    check(!spec.uses(static_cast<int>(i)) || planned == run[i], ErrorKind::usage, "the plan is for ",
          field.option(), " ", shown(planned), ", not ", shown(run[i]), ", on ", models[i].name);
  }
}

// A plan is for other texts, too: an embedding matters where they name it.
void check_embeddings(const std::map<std::string, std::string>& plan, const RunSpec& spec) {
  std::vector<std::string> texts = spec.options.prompts;
  for (const Stage& stage : spec.stages) texts.push_back(stage.negative_prompt);
  for (const auto& [name, content] : plan) {
    const PromptWords word({{.name = name}});
    const bool named = std::ranges::any_of(texts, [&](const std::string& text) -> bool {
      return words_in(text, spec.options.prompt_style, word)[0];
    });
    if (!named) continue;
    std::string found = "none";
    for (const Embedding& embedding : spec.embeddings)
      for (const std::string& other : embedding.names())
        if (PromptWords({{.name = name}, {.name = other}}).alike(0, 1)) found = held_by(embedding).content;
    check(found == content, ErrorKind::usage, "the plan is for --embedding ", printable(name), " (",
          printable(content), "), which a prompt names, not ", found);
  }
}

}  // namespace

MadeWith made_with(const RunSpec& spec, const std::vector<ModelInfo>& models,
                   const std::function<void()>& between) {
  MadeWith made{.loras = loras_of(models),
                .control_nets = control_nets_of(spec, models),
                .embeddings = {},
                .settings = compared_settings(spec, models, between)};
  for (const Embedding& embedding : spec.embeddings)
    for (const std::string& name : embedding.names()) made.embeddings[name] = held_by(embedding).content;
  return made;
}

ordered_json to_json(const MadeWith& made) {
  return {{"loras", json_of(made.loras)},
          {"control_nets", json_of(made.control_nets)},
          {"embeddings", made.embeddings},
          {"settings", made.settings}};
}

MadeWith made_with_of(const json& object, size_t models, const std::string& where) {
  MadeWith made{.loras = files_of(object, "loras", models, where),
                .control_nets = files_of(object, "control_nets", models, where),
                .embeddings = object.at("embeddings"),
                .settings = object.at("settings")};
  check(!made.embeddings.contains(""), ErrorKind::input, where, ": an embedding without a name");
  return made;
}

void check_made_with(const MadeWith& plan, const RunSpec& spec, const std::vector<ModelInfo>& models,
                     const std::function<void()>& between) {
  check_files(field_named("lora"), plan.loras, loras_of(models), spec, models);
  check_files(field_named("control_net"), plan.control_nets, control_nets_of(spec, models), spec, models);
  check_embeddings(plan.embeddings, spec);
  const auto shown = [](const std::string& value) {
    return value.empty() ? std::string("its default") : printable(value);
  };
  const std::map<std::string, std::string> settings = compared_settings(spec, models, between);
  for (const std::string_view name : kCompared) {
    const auto planned = plan.settings.find(std::string(name)), own = settings.find(std::string(name));
    if (planned != plan.settings.end() && own != settings.end())
      check(planned->second == own->second, ErrorKind::usage, "the plan is for ", field_named(name).option(),
            " ", shown(planned->second), ", not ", shown(own->second));
  }
}

}  // namespace tstitch
