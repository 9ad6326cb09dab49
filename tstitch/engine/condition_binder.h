#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tstitch/diffusion/network.h"

namespace tstitch {

// Binds the conditions of a run's batches to its networks: once what several rows show, and what the batch
// before has shown too.
class ConditionBinder {
 public:
  ConditionBinder(int64_t height, int64_t width) : height_(height), width_(width) {}  // of the latents

  std::shared_ptr<const BoundCondition> bind(const Network& network, const Condition& condition);
  // Forgets what was not asked for since this was called last.
  void next_batch();

 private:
  struct Entry {
    const Network* network;
    Condition condition;
    std::shared_ptr<const BoundCondition> bound;
    bool asked;
  };

  int64_t height_, width_;
  std::vector<Entry> entries_;
};

}  // namespace tstitch
