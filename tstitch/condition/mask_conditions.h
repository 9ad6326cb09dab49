// Conditions of networks that see more channels than the latent's.
#pragma once

#include <memory>

#include "tstitch/condition/condition_maker.h"

namespace tstitch {

// Those of another maker, all of which, the null row too, show the same beside the latent.
class MaskConditions final : public ConditionMaker {
 public:
  // beside: see Condition.
  MaskConditions(std::shared_ptr<const ConditionMaker> base, Tensor beside);
  Condition condition(int64_t subject) const override;
  Condition null(uint64_t seed) const override;

 private:
  Condition with_beside(Condition condition) const;

  std::shared_ptr<const ConditionMaker> base_;
  Tensor beside_;
};

}  // namespace tstitch
