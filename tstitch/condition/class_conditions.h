// Conditions of models for classes.
#pragma once

#include "tstitch/condition/condition_maker.h"

namespace tstitch {

// Classes by number, for networks that embed them: 0 ... num_classes - 1, and num_classes for none of them.
class ClassConditions final : public ConditionMaker {
 public:
  explicit ClassConditions(int64_t num_classes) : num_classes_(num_classes) {}
  Condition condition(int64_t subject) const override;
  Condition null(uint64_t seed) const override;

 private:
  int64_t num_classes_;
};

// Classes as one token of context each (Rombach et al. 2022, arXiv 2112.10752, ClassEmbedder). No row of the
// published tables stands for "no class".
class ClassTokenConditions final : public ConditionMaker {
 public:
  // tokens: (classes, W) f32. null_token stands for no class: (W) f32, (1) for the same number everywhere, or
  // empty for uniform random numbers in [0, 1), fixed for the trajectory, as T-Stitch's LDM takes them; here
  // they belong to the picture.
  ClassTokenConditions(Tensor tokens, const Tensor& null_token);
  Condition condition(int64_t subject) const override;
  Condition null(uint64_t seed) const override;

 private:
  Tensor tokens_;
  Tensor null_token_;  // (1, W), or empty
};

// The tokens of a model whose condition is of this kind, from its file. Throws Error{input} naming the tensor
// when it is not what the model's description says, or not finite.
Tensor load_class_tokens(const ModelInfo& model);

}  // namespace tstitch
