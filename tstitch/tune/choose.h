// The best trajectory for a budget: a number of steps, each served by one of several models, each with a cost
// and a loss.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tstitch/engine/run_spec.h"
#include "tstitch/tune/curve.h"
#include "tstitch/tune/similarity.h"

namespace tstitch {

// What serving step s by model m takes and spoils: losses of different steps add up.
struct StepCosts {
  std::vector<std::vector<double>> seconds, loss;  // [s][m], none negative
};

struct Assigned {
  std::vector<int> assignment;  // the model of every step
  double seconds = 0, loss = 0;
};

// Every assignment that no other beats in both seconds and loss, the fastest first. Exact: dynamic
// programming over steps and models on the set of (seconds, loss) that can still become one of them. ordered:
// models only ever hand over to later ones. Throws Error{usage} when that set grows beyond a million.
std::vector<Assigned> best_assignments(const StepCosts& costs, bool ordered = true);

// The losses of the models when nothing but their predictions is known: how far, as a root mean square, each
// model's step moves the final latent from where the last model's would have led. One DDIM step from level s
// to t takes x0 times
//
//   alpha_t - alpha_s sigma_t / sigma_s,
//
// and what it adds to x_t shrinks on the way to the end as all x do, by sqrt(alpha^2 + sigma^2) of the end
// over that of t: exact for latents that are standard normal. Errors of different steps are taken to point
// the same way, so that they add up: with independent ones the sum would be less. The last column is 0.
// differences: of every model with the last, by step (see prediction_similarity).
std::vector<std::vector<double>> estimated_losses(const Trajectory& trajectory, size_t models,
                                                  const std::vector<PairSimilarity>& differences);

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
