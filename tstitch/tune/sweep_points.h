// The trajectories of a sweep.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "tstitch/engine/run_spec.h"

namespace tstitch {

struct SweepPoint {
  std::string kind;               // "share", "order" or "steps": points of a kind are comparable
  std::string label;              // "0.4", "large, then small", "20 steps"
  std::vector<double> fractions;  // of the models; empty where only the order or the steps change
  SampleOptions options;
};

// Every way to share `grid` parts among the models, as shares: C(grid + models - 1, models - 1) of them, the
// largest shares of the last model first. Throws Error{usage} for more than 1000.
std::vector<std::vector<double>> simplex(size_t models, int grid);

// The same options with these shares.
SweepPoint share_point(const SampleOptions& options, const std::vector<double>& fractions);

// The orders in which two models can take the steps that the options share out (Pan et al. 2024, table 7):
// the small one first, the large one first, in turns, and the small one ever less probably.
std::vector<SweepPoint> order_points(const std::vector<ModelInfo>& models, const SampleOptions& options);

// The last model alone with fewer steps: what the speed-up of stitching has to be compared with.
std::vector<SweepPoint> step_points(const std::vector<ModelInfo>& models, const SampleOptions& options,
                                    std::span<const std::string> steps);

}  // namespace tstitch
