#include "tstitch/condition/condition_maker.h"

#include <algorithm>

#include "tstitch/condition/class_conditions.h"
#include "tstitch/condition/text_conditions.h"
#include "tstitch/condition/text_encoder.h"

namespace tstitch {
namespace {

void fill_with_zeros(Tensor& x) {
  if (x) std::fill_n(x.data<float>(), x.elements(), 0.0f);
}

// The makers of models of texts. What one model reads of them, all that are alike do.
class TextMakers {
 public:
  TextMakers(Backend& backend, const ConditionOptions& options) : backend_(backend), options_(options) {
    for (const NegativePrompt& negative : options.negatives)
      if (!std::ranges::count(negatives_, negative)) negatives_.push_back(negative);
  }

  std::shared_ptr<const ConditionMaker> make(const ModelInfo& model, const NegativePrompt& negative) {
    // Whether the network sees a mask is nothing to its texts.
    const auto of_texts = [](ConditionInfo condition) {
      condition.sees_mask = false;
      return condition;
    };
    auto group = std::ranges::find_if(groups_, [&](const Group& g) {
      return of_texts(g.model->condition) == of_texts(model.condition) &&
             change_texts_alike(g.model->loras, model.loras) && encode_alike(*g.model, model);
    });
    if (group == groups_.end()) group = groups_.insert(group, {&model, conditions_of(model)});
    const auto number = std::ranges::find(negatives_, negative) - negatives_.begin();
    return std::make_shared<TextConditions>(group->conditions, std::ssize(options_.prompts) + number);
  }

 private:
  struct Group {
    const ModelInfo* model;
    std::vector<Condition> conditions;  // of the prompts, then of the negative ones
  };

  std::vector<Condition> conditions_of(const ModelInfo& model) const {
    std::vector<std::string> texts = options_.prompts;
    for (const NegativePrompt& negative : negatives_) texts.push_back(negative.text);
    std::vector<EncodedText> encoded =
        encode_texts(backend_, model, texts, options_.clip_skip, options_.prompt_style, options_.threads,
                     options_.embeddings);
    std::vector<Condition> conditions;
    for (size_t i = 0; i < texts.size(); ++i) {
      const bool is_negative = i >= options_.prompts.size();
      if (is_negative && negatives_[i - options_.prompts.size()].zeros) {
        fill_with_zeros(encoded[i].context);
        fill_with_zeros(encoded[i].pooled);
      }
      const double score = is_negative ? options_.scores.negative : options_.scores.positive;
      conditions.push_back(text_condition(backend_, model.condition, encoded[i], options_.sizes, score));
    }
    return conditions;
  }

  Backend& backend_;
  const ConditionOptions& options_;
  std::vector<NegativePrompt> negatives_;  // once each
  std::vector<Group> groups_;
};

}  // namespace

std::vector<std::shared_ptr<const ConditionMaker>> make_condition_makers(Backend& backend,
                                                                         const std::vector<ModelInfo>& models,
                                                                         const ConditionOptions& options) {
  std::vector<std::shared_ptr<const ConditionMaker>> makers;
  TextMakers texts(backend, options);
  for (size_t i = 0; i < models.size(); ++i) {
    if (!options.used.empty() && !options.used[i]) {
      makers.push_back(nullptr);
      continue;
    }
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
        makers.push_back(texts.make(model, options.negatives.at(i)));
        break;
    }
  }
  return makers;
}

}  // namespace tstitch
