// The plans of one kind of operation on images, made when they are first asked for.
//
// That a picture does not depend on its company wants one engine for any number of images: it is chosen for
// one image, and compiled for as many as come. Where it does not take so many, they are done one by one.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "tstitch/backend/cuda/cudnn_graph.h"
#include "tstitch/base/error.h"

namespace tstitch::cuda {

// Shape: all that plans of different operations differ in but the number of images, ordered; `f32()`, whether
// the operands are; `graph(target, N)`, the operation on N images.
template <class Shape>
class Plans {
 public:
  static constexpr int64_t kMostWorkspace = int64_t{1} << 30;  // bytes, where there is a choice

  explicit Plans(const PlanTarget& target) : target_(target) {}

  struct Found {
    const Plan* plan = nullptr;  // none: no engine does it
    int64_t images = 1;          // done at once, all or one
  };

  // While work is recorded, when nothing may be compiled, throws Error{internal} for what has not been asked
  // for before. Throws Error{device} for failures that are not the engine's; they are not remembered.
  Found find(const Shape& shape, int64_t images, bool recording) {
    const auto known = engines_.find(shape);
    check_internal(!recording || (known != engines_.end() && known->second.knows(images)),
                   "a plan of cuDNN is first asked for while work is recorded");
    Engines& engines = known == engines_.end()
                           ? engines_.emplace(shape, Engines{propose(shape)}).first->second
                           : known->second;
    for (; engines.chosen < engines.choices.size(); ++engines.chosen)
      for (const int64_t at_once : {images, int64_t{1}})
        if (const Plan* plan = find(shape, at_once, engines)) return {plan, at_once};
    return {};
  }

  // What the library answered to the last choice for which it had no plan.
  cudnnStatus_t refusal() const { return refusal_; }

 private:
  // Only the chosen one is compiled, the first that does any of the numbers of images that have been asked
  // for.
  struct Engines {
    std::vector<EngineChoice> choices;
    size_t chosen = 0;
    // By choice and number of images; none: not so many. Those of earlier choices may be in recorded graphs.
    std::map<std::pair<size_t, int64_t>, std::optional<Plan>> plans = {};

    bool knows(int64_t images) const { return chosen == choices.size() || plans.contains({chosen, images}); }
  };

  // The heuristics' order, but for what wants more memory than it should have.
  std::vector<EngineChoice> propose(const Shape& shape) const {
    auto choices = find_engines(target_, shape.graph(target_, 1), shape.f32());
    std::ranges::stable_partition(choices,
                                  [](const EngineChoice& c) { return c.workspace <= kMostWorkspace; });
    return choices;
  }

  const Plan* find(const Shape& shape, int64_t images, Engines& engines) {
    const std::pair key = {engines.chosen, images};
    auto known = engines.plans.find(key);
    if (known == engines.plans.end()) {
      auto plan = make_plan(target_, shape.graph(target_, images), engines.choices[engines.chosen], refusal_);
      if (images > 1 && plan && plan->workspace > kMostWorkspace) plan.reset();
      known = engines.plans.emplace(key, std::move(plan)).first;
    }
    return known->second ? &*known->second : nullptr;
  }

  const PlanTarget& target_;
  std::map<Shape, Engines> engines_;
  cudnnStatus_t refusal_ = CUDNN_STATUS_NOT_SUPPORTED;
};

}  // namespace tstitch::cuda
