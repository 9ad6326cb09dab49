#include "tstitch/engine/take_loras.h"

#include <algorithm>
#include <map>
#include <memory>

#include "tstitch/base/error.h"
#include "tstitch/engine/naming_option.h"

namespace tstitch {
namespace {

// Each file and each model is read once, whoever names it.
class Fits {
 public:
  // known: what they hold, by an earlier run.
  Fits(const std::vector<ModelInfo>& models, const std::vector<FileContent>& known)
      : models_(models), known_(known), fitters_(models.size()) {}

  // said: the option that names it, for what is wrong with its file.
  LoraFit fit(const std::string& said, const LoraOption& option, size_t model) {
    Opened& opened = files_[option.path];
    if (!opened.file)
      naming_option(said, [&] {
        opened.file = std::make_shared<const LoraFile>(option.path);
        opened.content = opened.file->content();
      });
    if (!fitters_[model]) fitters_[model] = std::make_unique<LoraFitter>(models_[model]);
    LoraFit fit = fitters_[model]->fit(option.path, option.weight, opened.file);
    fit.lora.content = opened.content;
    check_unchanged(known_, held_by(fit.lora), said);
    return fit;
  }

 private:
  struct Opened {
    std::shared_ptr<const LoraFile> file;
    std::string content;
  };
  const std::vector<ModelInfo>& models_;
  const std::vector<FileContent>& known_;
  std::vector<std::unique_ptr<const LoraFitter>> fitters_;
  std::map<std::string, Opened> files_;
};

// The LoRAs of that model's own stage.
const std::vector<LoraOption>* of_stage(const SampleOptions& options, size_t model) {
  return own_of(options.stages, model, &StageOptions::loras);
}

}  // namespace

void take_loras(const SampleOptions& options, std::vector<ModelInfo>& models) {
  Fits fits(models, options.contents);
  for (size_t i = 0; i < models.size(); ++i) {
    const auto* own = of_stage(options, i);
    if (!own) continue;
    for (const LoraOption& option : *own) {
      const std::string said = concat("--stage ", i + 1, ": lora=");
      if (option.path == "none") {
        check(!options.loras.empty(), ErrorKind::usage, said,
              "none has no effect here: there is no --lora that it could leave out");
        continue;
      }
      const LoraFit fit = fits.fit(said, option, i);
      check(fit.obstacle.empty(), ErrorKind::input, said, " \"", printable(option.path), "\" does not fit ",
            models[i].name, ": ", fit.obstacle);
      models[i].loras.push_back(fit.lora);
    }
  }
  for (const LoraOption& option : options.loras) {
    bool taken = false;
    std::string why;
    for (size_t i = 0; i < models.size(); ++i) {
      if (of_stage(options, i)) continue;
      const LoraFit fit = fits.fit("--lora", option, i);
      taken |= fit.obstacle.empty();
      if (fit.obstacle.empty()) {
        models[i].loras.push_back(fit.lora);
        continue;
      }
      models[i].refused_loras.push_back({option.path, option.weight, fit.obstacle});
      why += concat(why.empty() ? "" : "; ", models[i].name, ": ", fit.obstacle);
    }
    check(taken || !why.empty(), ErrorKind::usage,
          "--lora has no effect here: every --stage says its own lora=");
    for (size_t i = 0; i < models.size() && !taken; ++i)
      check(!of_stage(options, i) || !fits.fit("--lora", option, i).obstacle.empty(), ErrorKind::usage,
            "--lora \"", printable(option.path), "\" has no effect here: it fits ", models[i].name,
            ", whose --stage says lora=, which stands instead of --lora: name it there (", why, ")");
    check(taken, ErrorKind::input, "--lora \"", printable(option.path), "\" fits none of the models: ", why);
  }
}

void check_loras_serve(const RunSpec& spec, std::span<const ModelInfo> models) {
  const auto serves = [&](const LoraOption& option) {
    for (size_t i = 0; i < models.size(); ++i)
      if (spec.uses(static_cast<int>(i)) && !of_stage(spec.options, i) &&
          std::ranges::count(models[i].loras, option.path, &Lora::path) > 0)
        return true;
    return false;
  };
  for (const LoraOption& option : spec.options.loras)
    check(serves(option), ErrorKind::usage, "--lora \"", printable(option.path),
          "\" has no effect here: no model that takes it serves a step");
  for (size_t i = 0; i < models.size(); ++i)
    check(!of_stage(spec.options, i) || spec.uses(static_cast<int>(i)), ErrorKind::usage, "--stage ", i + 1,
          ": lora= has no effect here: the stage serves no step");
}

}  // namespace tstitch
