#include "tstitch/condition/text_conditions.h"

#include <utility>

namespace tstitch {

TextConditions::TextConditions(Tensor contexts, int64_t negative)
    : contexts_(std::move(contexts)), negative_(negative) {}

Condition TextConditions::condition(int64_t subject) const {
  return {.context =
              contexts_.slice(subject, subject + 1).reshape({contexts_.extent(1), contexts_.extent(2)})};
}

Condition TextConditions::null(uint64_t) const { return condition(negative_); }

}  // namespace tstitch
