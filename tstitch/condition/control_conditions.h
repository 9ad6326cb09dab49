// Conditions of networks that are steered.
#pragma once

#include <memory>
#include <vector>

#include "tstitch/condition/condition_maker.h"

namespace tstitch {

// Those of another maker, all of which, the null row too, are steered by the same controls.
class ControlConditions final : public ConditionMaker {
 public:
  ControlConditions(std::shared_ptr<const ConditionMaker> base,
                    std::vector<std::shared_ptr<const Control>> controls);
  Condition condition(int64_t subject) const override;
  Condition null(uint64_t seed) const override;

 private:
  Condition with_controls(Condition condition) const;

  std::shared_ptr<const ConditionMaker> base_;
  std::vector<std::shared_ptr<const Control>> controls_;
};

}  // namespace tstitch
