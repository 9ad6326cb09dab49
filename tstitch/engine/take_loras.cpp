#include "tstitch/engine/take_loras.h"

#include <map>
#include <memory>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

// Each file once, whoever names it.
class Files {
 public:
  LoraFit fit(const LoraOption& option, const ModelInfo& model) {
    Opened& opened = files_[option.path];
    if (!opened.file) opened.file = std::make_shared<const LoraFile>(option.path);
    LoraFit fit = fit_lora(option.path, option.weight, opened.file, model);
    if (!fit.obstacle.empty()) return fit;
    if (opened.content.empty()) opened.content = opened.file->content();
    fit.lora.content = opened.content;
    return fit;
  }

 private:
  struct Opened {
    std::shared_ptr<const LoraFile> file;
    std::string content;
  };
  std::map<std::string, Opened> files_;
};

const std::vector<LoraOption>* of_stage(const SampleOptions& options, size_t model) {
  if (model >= options.stages.size() || options.stages[model].loras.empty()) return nullptr;
  return &options.stages[model].loras;
}

}  // namespace

void take_loras(const SampleOptions& options, std::vector<ModelInfo>& models) {
  Files files;
  for (size_t i = 0; i < models.size(); ++i) {
    const auto* own = of_stage(options, i);
    if (!own) continue;
    for (const LoraOption& option : *own) {
      const LoraFit fit = files.fit(option, models[i]);
      check(fit.obstacle.empty(), ErrorKind::input, "--stage ", i + 1, ": lora= \"", printable(option.path),
            "\" does not fit ", models[i].name, ": ", fit.obstacle);
      models[i].loras.push_back(fit.lora);
    }
  }
  for (const LoraOption& option : options.loras) {
    bool taken = false;
    std::string why;
    for (size_t i = 0; i < models.size(); ++i) {
      if (of_stage(options, i)) continue;
      const LoraFit fit = files.fit(option, models[i]);
      if (fit.obstacle.empty())
        models[i].loras.push_back(fit.lora);
      else
        why += concat(why.empty() ? "" : "; ", models[i].name, ": ", fit.obstacle);
      taken |= fit.obstacle.empty();
    }
    check(taken || !why.empty(), ErrorKind::usage,
          "--lora has no effect here: every --stage says its own lora=");
    check(taken, ErrorKind::input, "--lora \"", printable(option.path), "\" fits none of the models: ", why);
  }
}

}  // namespace tstitch
