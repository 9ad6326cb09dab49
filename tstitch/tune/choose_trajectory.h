#pragma once

#include <functional>
#include <optional>
#include <string>

#include "tstitch/engine/engine.h"
#include "tstitch/tune/chosen_trajectory.h"
#include "tstitch/tune/curve.h"
#include "tstitch/tune/measured_divergence.h"

namespace tstitch {

// A bound on a divergence: a sum of w d (see step_weight), or a share of that of the form that diverges most.
struct MostDivergence {
  double value;
  bool is_share;
};

// What a trajectory is chosen for: exactly one of the first four.
struct Goal {
  std::optional<double> budget;                  // seconds for sampling and decoding all images
  std::optional<double> speedup;                 // against the last model alone
  std::optional<double> max_metric_loss;         // share of the last model's metric; needs a curve
  std::optional<MostDivergence> max_divergence;  // where there is no curve

  std::string curve_file;      // of a measured curve; "": the models' predictions are compared
  std::optional<Curve> curve;  // what it holds
  Metric metric = Metric::fid;

  std::string divergence_file;                   // of a measured divergence; "": it is measured first,
  std::optional<MeasuredDivergence> divergence;  // what it holds
  int64_t probes = 8;                            // on so many images
  // Where there is no curve: forms take turns in any order, at a price for each change, a share of the
  // divergence of the form that diverges most.
  bool any_order = false;
  double switch_price = 0.01;

  // What the user asks for, so that a curve's points with other steps or another sampler are no choice.
  bool steps_said = false, sampler_said = false;
};

// The spec with steps for every model, so that all are loaded. by_curve: it is for choosing among the points
// of one. Throws Error{usage} where nothing can be chosen, too.
RunSpec spec_of_all(const std::vector<ModelInfo>& infos, SampleOptions options, bool by_curve = false);

// Whether the goal holds the times of this run on the engine's device and with its autoencoder, so that
// nothing need be loaded.
bool times_are_known(const Engine& engine, const RunSpec& spec, const Goal& goal);

// What choosing holds beside the run, see Engine::load.
int64_t bytes_of_choosing(const std::vector<ModelInfo>& infos, const RunSpec& spec, const Goal& goal);

// Throws Error{usage} naming the file where the goal's divergence, if it has one, is of another run. Reads
// the models' files. between: called now and then; what it throws ends the work.
void check_divergence(Engine& engine, const RunSpec& spec, const Goal& goal,
                      const std::function<void()>& between);

// options: what the run is to be. The engine has loaded spec_of_all, unless times_are_known. Throws
// Error{usage} when no trajectory reaches the goal, with the fastest or best that there is. Nothing when it
// was cancelled.
std::optional<ChosenTrajectory> choose_trajectory(Engine& engine, const SampleOptions& options,
                                                  const Goal& goal, const std::function<bool()>& cancelled);

}  // namespace tstitch
