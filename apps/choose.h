// Choosing a trajectory: the options and the work of `plan`, and of `sample --budget`.
#pragma once

#include <CLI/App.hpp>
#include <optional>
#include <string>
#include <vector>

#include "apps/session.h"
#include "tstitch/tune/choose.h"

namespace tstitch {

struct ChooseArguments {
  std::string budget, max_metric_loss;  // "3s", "2%"
  std::optional<double> speedup;
  std::string curve, metric = "fid";
  int64_t probes = 8;  // images whose predictions are compared where there is no curve
  bool any_order = false;
  bool steps_given = false;  // whether --steps was: else those of a curve or a plan hold
};

// A trajectory, and what to expect of it.
struct ChosenTrajectory {
  std::vector<std::string> models;  // their names
  std::string sampler, steps_option;
  int steps = 0;
  std::string assignment;  // see format_assignment
  std::string levels;      // see hash_of_levels
  double eta = 0, cfg_scale = 1;
  double seconds = 0, seconds_spread = 0;  // of the whole run
  std::optional<double> speedup;           // against the last model alone, where that is known
  // With a curve: the metric, its deviation over seeds, whether the point itself was measured.
  std::optional<std::string> metric;
  double value = 0;
  std::optional<double> deviation;
  bool measured = false;
  // Without: the estimated change of the final latents (estimated_losses), half of what two halves of the
  // probes differ in, and the change when the first model serves all.
  double change = 0, change_spread = 0, largest_change = 0;
};

void add_choose_options(CLI::App& command, ChooseArguments& arguments);

// "3s", "500ms", "2m" or a number of seconds. Throws Error{usage}.
double parse_seconds(const std::string& option, const std::string& text);

// The spec with steps for every model, so that all are loaded.
RunSpec spec_of_all(const std::vector<ModelInfo>& infos, SampleOptions options);

// Throws Error{usage} unless the arguments name one goal, and when no trajectory reaches it, with the fastest
// or best that there is. options: what the run is to be. Nothing when it was interrupted.
std::optional<ChosenTrajectory> choose_trajectory(Session& session, const std::vector<ModelInfo>& infos,
                                                  const SampleOptions& options,
                                                  const ChooseArguments& arguments);
void check_goal(const ChooseArguments& arguments);
// Throws Error{usage} where the options say themselves who serves which step; what: that excludes it.
void check_no_shares(const SampleOptions& options, const std::string& what);

std::string to_json(const ChosenTrajectory& choice);
ChosenTrajectory read_chosen_trajectory(const std::string& path);
// The run with the trajectory. Throws Error{usage} where the options say otherwise: other models, a share,
// another spacing.
RunSpec chosen_run(const std::vector<ModelInfo>& infos, SampleOptions options, const ChosenTrajectory& choice,
                   bool steps_given);
// For a person: the trajectory, the time, the quality.
void print(const ChosenTrajectory& choice);

}  // namespace tstitch
