#pragma once

#include <vector>

#include "tstitch/condition/condition_maker.h"

namespace tstitch {

// Prompts by number, encoded; guidance leads away from the negative one.
class TextConditions final : public ConditionMaker {
 public:
  // contexts: of all texts (TextEncoder); negative: which of them guidance leads away from.
  TextConditions(std::vector<Tensor> contexts, int64_t negative);
  Condition condition(int64_t subject) const override;
  Condition null(uint64_t seed) const override;

 private:
  std::vector<Tensor> contexts_;
  int64_t negative_;
};

}  // namespace tstitch
