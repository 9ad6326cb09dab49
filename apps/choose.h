// The options of `plan` and of `sample --budget`.
#pragma once

#include <CLI/App.hpp>
#include <optional>
#include <string>

#include "tstitch/tune/choose_trajectory.h"

namespace tstitch {

struct ChooseArguments {
  std::string budget, max_metric_loss, max_divergence;  // "3s", "2%", "0.3" or "20%"
  std::optional<double> speedup;
  std::string curve, metric = "fid", divergence, switch_price = "1%";
  int64_t probes = 8;
  bool any_order = false;
};

void add_choose_options(CLI::App& command, ChooseArguments& arguments);

// Throws Error{usage} for options that nothing is chosen by: without a goal, with a curve or a divergence or
// without one.
void check_choose_options(const CLI::App& command, bool has_goal, const ChooseArguments& arguments);

// Throws Error{usage} unless the arguments name one goal. said: of the run.
Goal goal_of(const ChooseArguments& arguments, const Said& said);

// For a person: the trajectory, the time, the quality; and what else there is to choose.
void print(const ChosenTrajectory& choice);
void print_alternatives(const ChosenTrajectory& choice);

}  // namespace tstitch
