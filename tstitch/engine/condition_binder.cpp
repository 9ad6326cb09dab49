#include "tstitch/engine/condition_binder.h"

#include <algorithm>

namespace tstitch {

std::shared_ptr<const BoundCondition> ConditionBinder::bind(const Network& network,
                                                            const Condition& condition) {
  auto entry = std::ranges::find_if(
      entries_, [&](const Entry& e) { return e.network == &network && is_same(e.condition, condition); });
  if (entry == entries_.end())
    entry = entries_.insert(entry, {&network, condition, network.bind(condition, height_, width_), true});
  entry->asked = true;
  return entry->bound;
}

void ConditionBinder::end_batch() {
  std::erase_if(entries_, [](const Entry& entry) { return !entry.asked; });
  for (Entry& entry : entries_) entry.asked = false;
}

}  // namespace tstitch
