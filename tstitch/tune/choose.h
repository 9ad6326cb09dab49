// The best trajectory for a budget: a number of steps, each served by one of several models or forms of them,
// each with a cost and a loss.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tstitch/engine/run_spec.h"
#include "tstitch/tune/curve.h"

namespace tstitch {

// What serving the steps in one form takes and spoils. Where an evaluation depends on the last whole one
// (BlockCache) it does so by age: how many evaluations that is ago as the step begins, 0 where its first one
// is whole.
struct FormCosts {
  int64_t ages = 1;                                // after so many evaluations one is whole again
  std::vector<std::vector<double>> seconds, loss;  // [step][age], none negative
};

// Losses of different steps add up.
struct StepCosts {
  std::vector<int> evaluations;  // of every step, whoever serves it
  std::vector<FormCosts> forms;  // steps of fewer ages where no trajectory is as old
  double switch_price = 0;       // what every change of forms spoils beside
};

struct Assigned {
  std::vector<int> assignment;   // the form of every step
  double seconds = 0, loss = 0;  // without the price of its changes
  double price = 0;              // of them
};

// What an assignment takes and spoils: a form begins whole wherever it comes (back).
Assigned with_costs(const StepCosts& costs, std::vector<int> assignment);

// Every assignment that no other beats in both seconds and loss with price, the fastest first: dynamic
// programming over step, form and age on the set of (seconds, loss) that can still become one of them.
// ordered: forms only ever hand over to later ones. Exact while no form and age has more than `most` of them
// after a step, or what memory allows; else the best of each of so many equal spans of time stays, and what
// is found for a time is as good as what there is for a time shorter by such a span for every step.
std::vector<Assigned> best_assignments(const StepCosts& costs, bool ordered = true, size_t most = 4096);

// What a curve says about a trajectory, measured or between two measured ones.
struct Candidate {
  std::string label, sampler, steps_option, assignment, levels;  // see CurvePoint
  int steps = 0;
  double eta = 0;
  std::vector<int64_t> evaluations;  // by model
  double metric = 0;
  std::optional<double> deviation;  // of the metric over seeds, where the curve has it
  bool measured = true;
};

// The points of the curve that have the metric; for two models, with every number of steps between two
// measured shares, on the straight line between them.
std::vector<Candidate> candidates(const Curve& curve, Metric metric);

}  // namespace tstitch
