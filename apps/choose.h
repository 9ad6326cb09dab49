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
  bool steps_given = false;  // whether --steps was
};

void add_choose_options(CLI::App& command, ChooseArguments& arguments);

// Throws Error{usage} unless the arguments name one goal.
Goal goal_of(const ChooseArguments& arguments);

// For a person: the trajectory, the time, the quality.
void print(const ChosenTrajectory& choice);

}  // namespace tstitch
