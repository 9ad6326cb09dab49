#pragma once

#include "tstitch/condition/condition_maker.h"

namespace tstitch {

// Prompts by number, encoded; guidance leads away from the negative one.
class TextConditions final : public ConditionMaker {
 public:
  // contexts: (P + 1, S, W) f32 on the host, of P prompts and then of the negative one (TextEncoder).
  explicit TextConditions(Tensor contexts);
  Condition condition(int64_t subject) const override;
  Condition null(uint64_t seed) const override;

 private:
  Tensor contexts_;
};

}  // namespace tstitch
