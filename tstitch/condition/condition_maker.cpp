#include "tstitch/condition/condition_maker.h"

#include "tstitch/condition/class_conditions.h"
#include "tstitch/condition/text_conditions.h"
#include "tstitch/condition/text_encoder.h"

namespace tstitch {
namespace {

std::shared_ptr<const ConditionMaker> encode_texts(Backend& backend, const std::vector<ModelInfo>& models,
                                                   const ConditionOptions& options) {
  std::vector<std::string> texts = options.prompts;
  texts.push_back(options.negative_prompt);
  const TextEncoder encoder(backend, model_with_text_encoder(models), options.clip_skip);
  return std::make_shared<TextConditions>(encoder.encode(texts));
}

}  // namespace

std::vector<std::shared_ptr<const ConditionMaker>> make_condition_makers(Backend& backend,
                                                                         const std::vector<ModelInfo>& models,
                                                                         const ConditionOptions& options) {
  std::vector<std::shared_ptr<const ConditionMaker>> makers;
  std::shared_ptr<const ConditionMaker> texts;
  for (const ModelInfo& model : models) {
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
        if (!texts) texts = encode_texts(backend, models, options);
        makers.push_back(texts);
        break;
    }
  }
  return makers;
}

}  // namespace tstitch
