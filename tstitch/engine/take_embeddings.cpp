#include "tstitch/engine/take_embeddings.h"

#include <algorithm>
#include <optional>
#include <string>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/engine/checkpoint_folder.h"
#include "tstitch/text/prompt.h"

namespace tstitch {
namespace {

// What a text may name: one of the embeddings that were given, or files of the folder.
struct Candidate {
  std::string name;
  std::vector<std::string> paths;
  std::optional<size_t> given;  // its number
};

// The first that is meant comes first.
std::vector<Candidate> candidates_of(const std::vector<Embedding>& given, const std::string& folder) {
  std::vector<Candidate> all;
  for (size_t i = 0; i < given.size(); ++i)
    for (const std::string& name : given[i].names()) all.push_back({name, {given[i].path()}, i});
  if (folder.empty()) return all;
  for (const auto& [name, paths] : checkpoints_below("--embedding-dir", folder))
    if (!name.empty()) all.push_back({name, paths, std::nullopt});
  return all;
}

// Of the candidates that are called like number `i`, and come from where it does, all paths.
std::vector<std::string> paths_of(const std::vector<Candidate>& all, const PromptWords& words, size_t i) {
  std::vector<std::string> paths;
  for (size_t k = 0; k < all.size(); ++k)
    if (all[k].given.has_value() == all[i].given.has_value() && words.alike(k, i))
      for (const std::string& path : all[k].paths)
        if (!std::ranges::count(paths, path)) paths.push_back(path);
  return paths;
}

void add_to(std::vector<bool>& all, const std::vector<bool>& more) {
  for (size_t i = 0; i < all.size(); ++i)
    if (more[i]) all[i] = true;
}

// Whether the stage's negative prompt is read.
bool is_led_away(const ModelInfo& model, const Stage& stage) {
  return model.condition.needs_null(stage.cfg_scale);
}

}  // namespace

void take_embeddings(RunSpec& spec, const std::vector<ModelInfo>& models) {
  SampleOptions& options = spec.options;
  if (options.embeddings.empty() && options.embedding_dir.empty()) return;
  std::vector<Embedding> given;
  for (const auto& [path, name] : options.embeddings) {
    given.emplace_back(path, name);
    check_unchanged(options.contents, held_by(given.back()));
  }
  const std::vector<Candidate> candidates = candidates_of(given, options.embedding_dir);
  std::vector<PromptWord> names;
  for (const Candidate& candidate : candidates) names.push_back({.name = candidate.name});
  const PromptWords words(names);

  // Of every model which candidates the texts name that it reads.
  std::vector<bool> of_prompts(words.size()), by_any(words.size());
  std::vector<std::vector<bool>> by_model;
  const auto add = [&](std::vector<bool>& named, const std::string& text) {
    add_to(named, words_in(text, options.prompt_style, words));
  };
  for (const std::string& prompt : options.prompts) add(of_prompts, prompt);
  for (size_t i = 0; i < models.size(); ++i) {
    by_model.push_back(of_prompts);
    if (is_led_away(models[i], spec.stages[i])) add(by_model[i], spec.stages[i].negative_prompt);
    if (!spec.uses(static_cast<int>(i))) by_model[i].assign(words.size(), false);
    add_to(by_any, by_model[i]);
  }

  bool folder_serves = false;
  std::vector<bool> taken(given.size());
  std::vector<std::vector<TextReader>> readers_of(models.size());  // of those that read any
  const auto check_readable = [&](const Embedding& embedding, size_t candidate) {
    for (size_t i = 0; i < models.size(); ++i) {
      if (!by_model[i][candidate]) continue;
      std::vector<TextReader>& readers = readers_of[i];
      if (readers.empty()) readers = text_readers(models[i]);
      const std::string obstacle = embedding.obstacle(readers);
      check(obstacle.empty(), ErrorKind::input, "the embedding \"", printable(embedding.path()),
            "\", which a prompt names \"", printable(candidates[candidate].name), "\", does not fit ",
            models[i].name, ": ", obstacle);
      for (size_t number = 0; number < readers.size(); ++number) embedding.load(readers, number);  // finite?
    }
  };
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (!by_any[i]) continue;
    const Candidate& candidate = candidates[i];
    const std::vector<std::string> paths = paths_of(candidates, words, i);
    check(paths.size() == 1, ErrorKind::usage, "a prompt names the embedding \"", printable(candidate.name),
          "\", of which there are ", paths.size(), ": ", printable(join(paths), 400));
    if (!candidate.given) given.emplace_back(paths[0], candidate.name);
    const size_t number = candidate.given.value_or(given.size() - 1);
    taken.resize(given.size());
    taken[number] = true;
    folder_serves |= !candidate.given;
    check_readable(given[number], i);
  }

  // Whether the texts name it, and mean another of its name.
  const auto is_passed_over = [&](size_t i) {
    for (size_t k = 0; k < candidates.size(); ++k)
      if (k != i && by_any[k] && words.alike(k, i)) return true;
    return false;
  };
  if (!options.embedding_dir.empty() && !folder_serves) {
    spec.idle_embedding_dir = "no prompt of a model that is used names a file in it";
    for (size_t i = 0; i < candidates.size(); ++i)
      if (!candidates[i].given && is_passed_over(i))
        spec.idle_embedding_dir = concat("\"", printable(candidates[i].name),
                                         "\", which a prompt names, is given with --embedding as well");
  }
  std::vector<EmbeddingOption> kept;
  for (size_t i = 0; i < given.size(); ++i) {
    const bool asked = i < options.embeddings.size();
    if (!taken[i]) {
      const std::string path = concat('"', printable(given[i].path()), '"');
      spec.idle_embedding = concat("no prompt of a model that is used names ", path);
      for (size_t k = 0; k < candidates.size(); ++k)
        if (candidates[k].given == i && is_passed_over(k)) spec.idle_embedding = path + " is given twice";
      continue;
    }
    spec.embeddings.push_back(given[i]);
    kept.push_back(asked ? options.embeddings[i] : EmbeddingOption{given[i].path(), given[i].names()[0]});
  }
  options.embeddings = kept;
}

}  // namespace tstitch
