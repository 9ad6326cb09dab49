#include "tstitch/condition/condition_maker.h"

#include <algorithm>

#include "tstitch/condition/class_conditions.h"
#include "tstitch/condition/text_conditions.h"
#include "tstitch/condition/text_encoder.h"

namespace tstitch {
namespace {

// The prompts and, once each, the negative ones.
std::vector<std::string> texts_of(const ConditionOptions& options) {
  std::vector<std::string> texts = options.prompts;
  const auto prompts = std::ssize(texts);
  for (const std::string& negative : options.negative_prompts)
    if (std::find(texts.begin() + prompts, texts.end(), negative) == texts.end()) texts.push_back(negative);
  return texts;
}

}  // namespace

std::vector<std::shared_ptr<const ConditionMaker>> make_condition_makers(Backend& backend,
                                                                         const std::vector<ModelInfo>& models,
                                                                         const ConditionOptions& options) {
  std::vector<std::shared_ptr<const ConditionMaker>> makers;
  const std::vector<std::string> texts = texts_of(options);
  std::vector<Tensor> contexts;
  for (size_t i = 0; i < models.size(); ++i) {
    const ModelInfo& model = models[i];
    const ConditionInfo& condition = model.condition;
    switch (condition.kind) {
      case ConditionKind::classes:
        makers.push_back(std::make_shared<ClassConditions>(condition.num_classes));
        break;
      case ConditionKind::class_tokens:
        makers.push_back(
            std::make_shared<ClassTokenConditions>(load_class_tokens(model), options.null_token));
        break;
      case ConditionKind::text:
        if (contexts.empty())
          contexts =
              TextEncoder(backend, model_with_text_encoder(models), options.clip_skip, options.prompt_style)
                  .encode(texts);
        makers.push_back(std::make_shared<TextConditions>(
            contexts, std::find(texts.begin() + std::ssize(options.prompts), texts.end(),
                                options.negative_prompts.at(i)) -
                          texts.begin()));
        break;
    }
  }
  return makers;
}

}  // namespace tstitch
