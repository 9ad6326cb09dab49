#include "tstitch/condition/mask_conditions.h"

#include <utility>

namespace tstitch {

MaskConditions::MaskConditions(std::shared_ptr<const ConditionMaker> base, Tensor beside)
    : base_(std::move(base)), beside_(std::move(beside)) {}

Condition MaskConditions::condition(int64_t subject) const { return with_beside(base_->condition(subject)); }
Condition MaskConditions::null(uint64_t seed) const { return with_beside(base_->null(seed)); }

Condition MaskConditions::with_beside(Condition condition) const {
  condition.beside = beside_;
  return condition;
}

}  // namespace tstitch
