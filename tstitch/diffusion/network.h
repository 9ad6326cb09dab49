// What diffusion knows of a network: it evaluates rows, each with its picture, its timestep and its
// condition. Rows of different requests, at different steps of different trajectories, share an evaluation.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "tstitch/base/error.h"
#include "tstitch/base/function_ref.h"
#include "tstitch/diffusion/cheaper_form.h"
#include "tstitch/diffusion/condition.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch {

// What a condition is to a network, for pictures of one extent: what it costs once (the keys and values of a
// prompt) is paid here and belongs to whoever asks. Many rows may show it at a time. Networks derive theirs.
class BoundCondition {
 public:
  virtual ~BoundCondition() = default;
};

// All that an evaluation which draws random numbers or keeps something may know of the trajectory.
struct EvaluationContext {
  uint64_t seed = 0;       // of the picture
  int64_t image = 0;       // its number in its run
  int64_t evaluation = 0;  // how many there were before, of this picture since its stage began
  // What the network keeps of this row for its next evaluations, empty before the first; null: it may keep
  // nothing.
  Tensor* kept = nullptr;
  bool whole = true;  // takes nothing from what is kept
};

// One row of an evaluation; its picture is the row of that number of the evaluation's x.
struct Row {
  double t;                         // timestep of training
  const BoundCondition* condition;  // made by the network that is asked
  // Of networks that are told it instead of being led away from a null row: the scale of guidance, 1 for
  // none (Meng et al. 2022, arXiv 2210.03142).
  double guidance = 1;
  uint64_t controls =
      ~uint64_t{0};  // which of the condition's controls hold, a bit each, the first the lowest
  // The timesteps at which this condition will be asked for, this one first, so that what depends on them
  // alone can be computed for many at once. Only a hint; may be empty.
  std::span<const double> ahead = {};
  CheaperForm form = {};  // in which the network is asked
  EvaluationContext context = {};
};

// F(x, t): an architecture with its weights on a device.
class Network {
 public:
  virtual ~Network() = default;

  // The condition for latents of height x width; must not outlive the network. Throws Error{usage} for sizes
  // the network cannot take. Threads may bind while others evaluate.
  virtual std::unique_ptr<const BoundCondition> bind(const Condition& condition, int64_t height,
                                                     int64_t width) const = 0;

  // x: (N, H, W, C) f32; rows: N of them, their conditions bound for H x W. Returns the raw output, f32,
  // (N, H, W, C) or (.., 2C). A row's answer does not depend on the others. Threads that evaluate one network
  // take turns.
  virtual Tensor evaluate(const Tensor& x, std::span<const Row> rows) const = 0;

  // The same of rows that are asked in one form, and `observer` sees what each block that adds to its input
  // makes of it, both (N, T, D) f32 where the network is: its number is that of CheaperForm::skip. Of
  // networks with such blocks.
  using BlockObserver = FunctionRef<void(int64_t block, const Tensor& before, const Tensor& after)>;
  virtual Tensor evaluate_observed(const Tensor& /*x*/, std::span<const Row> /*rows*/,
                                   BlockObserver /*observer*/) const {
    fail(ErrorKind::internal, "internal error: a network without blocks is observed");
  }
};

// Who answers what is asked of networks: at once, or together with what others ask (step_batcher.h).
class Evaluator {
 public:
  virtual ~Evaluator() = default;
  // As Network::evaluate.
  virtual Tensor evaluate(const Network& network, const Tensor& x, std::span<const Row> rows) = 0;
};

// At once.
class DirectEvaluator final : public Evaluator {
 public:
  Tensor evaluate(const Network& network, const Tensor& x, std::span<const Row> rows) override {
    return network.evaluate(x, rows);
  }
};

}  // namespace tstitch
