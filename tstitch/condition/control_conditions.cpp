#include "tstitch/condition/control_conditions.h"

#include <utility>

namespace tstitch {

ControlConditions::ControlConditions(std::shared_ptr<const ConditionMaker> base,
                                     std::vector<std::shared_ptr<const Control>> controls)
    : base_(std::move(base)), controls_(std::move(controls)) {}

Condition ControlConditions::condition(int64_t subject) const {
  return with_controls(base_->condition(subject));
}
Condition ControlConditions::null(uint64_t seed) const { return with_controls(base_->null(seed)); }

Condition ControlConditions::with_controls(Condition condition) const {
  condition.controls = controls_;
  return condition;
}

}  // namespace tstitch
