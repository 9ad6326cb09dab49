#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tstitch/diffusion/network.h"

namespace tstitch {

// Binds the conditions of a run's batches to its networks: once what several rows show, or the batch before
// has shown.
class ConditionBinder {
 public:
  ConditionBinder(int64_t height, int64_t width) : height_(height), width_(width) {}  // of the latents

  std::shared_ptr<const BoundCondition> bind(const Network& network, const Condition& condition);
  // A batch is bound: forgets what it did not ask for.
  void end_batch();

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
