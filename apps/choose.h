// The options of `plan` and of `sample --budget`.
#pragma once

#include <CLI/App.hpp>
#include <optional>
#include <string>

#include "tstitch/tune/choose_trajectory.h"

namespace tstitch {

struct ChooseArguments {
  std::string budget, max_metric_loss;  // "3s", "2%"
  std::optional<double> speedup;
  std::string curve, metric = "fid";
  int64_t probes = 8;
  bool any_order = false;
};

void add_choose_options(CLI::App& command, ChooseArguments& arguments);

// Throws Error{usage} for options that nothing is chosen by: without a goal, with a curve or without one.
void check_choose_options(const CLI::App& command, bool has_goal, bool has_curve);

// Throws Error{usage} unless the arguments name one goal. said: of the run.
Goal goal_of(const ChooseArguments& arguments, const Said& said);

// For a person: the trajectory, the time, the quality.
void print(const ChosenTrajectory& choice);

}  // namespace tstitch
