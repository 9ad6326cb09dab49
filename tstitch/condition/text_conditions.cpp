#include "tstitch/condition/text_conditions.h"

#include <utility>

namespace tstitch {

TextConditions::TextConditions(std::vector<Tensor> contexts, int64_t negative)
    : contexts_(std::move(contexts)), negative_(negative) {}

Condition TextConditions::condition(int64_t subject) const {
  return {.context = contexts_.at(static_cast<size_t>(subject))};
}

Condition TextConditions::null(uint64_t) const { return condition(negative_); }

}  // namespace tstitch
