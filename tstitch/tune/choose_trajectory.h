#pragma once

#include <functional>
#include <optional>
#include <string>

#include "tstitch/engine/engine.h"
#include "tstitch/tune/chosen_trajectory.h"
#include "tstitch/tune/curve.h"

namespace tstitch {

// What a trajectory is chosen for: exactly one of the first three.
struct Goal {
  std::optional<double> budget;           // seconds for sampling and decoding all images
  std::optional<double> speedup;          // against the last model alone
  std::optional<double> max_metric_loss;  // share of the last model's metric; needs a curve

  std::string curve_file;      // of a measured curve; "": the models' predictions are compared
  std::optional<Curve> curve;  // what it holds
  Metric metric = Metric::fid;
  int64_t probes = 8;      // images whose predictions are compared where there is no curve
  bool any_order = false;  // where there is no curve: models take turns in any order
  // What the user asks for, so that a curve's points with other steps or another sampler are no choice.
  bool steps_said = false, sampler_said = false;
};

// The spec with steps for every model, so that all are loaded.
RunSpec spec_of_all(const std::vector<ModelInfo>& infos, SampleOptions options);

// options: what the run is to be. The engine has loaded spec_of_all. Throws Error{usage} when no trajectory
// reaches the goal, with the fastest or best that there is. Nothing when it was cancelled.
std::optional<ChosenTrajectory> choose_trajectory(Engine& engine, const SampleOptions& options,
                                                  const Goal& goal, const std::function<bool()>& cancelled);

}  // namespace tstitch
