// The plans of one kind of operation on images, made when they are first asked for.
//
// That a picture does not depend on its company wants one engine for any number of images: it is chosen for
// one image, and compiled for as many as come. Where it does not take so many, they are done one by one.
#pragma once

#include <map>
#include <optional>
#include <utility>

#include "tstitch/backend/cuda/cudnn_graph.h"
#include "tstitch/base/error.h"

namespace tstitch::cuda {

// Shape: all that plans of different operations differ in but the number of images, ordered; `f32()`, whether
// the operands are; `graph(target, N)`, the operation on N images.
template <class Shape>
class Plans {
 public:
  explicit Plans(const PlanTarget& target) : target_(target) {}

  struct Found {
    const Plan* plan = nullptr;  // none: no engine does it
    int64_t images = 1;          // done at once, all or one
  };

  // While work is recorded, when nothing may be compiled, throws Error{internal} for what has not been asked
  // for before.
  Found find(const Shape& shape, int64_t images, bool recording) {
    const auto known = engines_.find(shape);
    check_internal(!recording || (known != engines_.end() && known->second.plans.contains(images)),
                   "a plan of cuDNN is first asked for while work is recorded");
    Engine& engine =
        known == engines_.end() ? engines_.emplace(shape, choose(shape)).first->second : known->second;
    if (!engine.choice) return {};
    auto plan = engine.plans.find(images);
    if (plan == engine.plans.end())
      plan = engine.plans.emplace(images, make(shape, images, *engine.choice)).first;
    if (plan->second) return {&*plan->second, images};
    return {&*engine.plans.at(1), 1};
  }

  // What the library answered to the last choice for which it had no plan.
  cudnnStatus_t refusal() const { return refusal_; }

 private:
  struct Engine {
    std::optional<EngineChoice> choice;
    std::map<int64_t, std::optional<Plan>> plans = {};  // by the number of images; none: one by one
  };

  std::optional<Plan> make(const Shape& shape, int64_t images, const EngineChoice& choice) {
    return make_plan(target_, shape.graph(target_, images), choice, refusal_);
  }

  Engine choose(const Shape& shape) {
    for (EngineChoice& choice : find_engines(target_, shape.graph(target_, 1), shape.f32()))
      if (auto plan = make(shape, 1, choice)) {
        Engine engine = {.choice = std::move(choice)};
        engine.plans.emplace(1, std::move(plan));
        return engine;
      }
    return {};
  }

  const PlanTarget& target_;
  std::map<Shape, Engine> engines_;
  cudnnStatus_t refusal_ = CUDNN_STATUS_NOT_SUPPORTED;
};

}  // namespace tstitch::cuda
