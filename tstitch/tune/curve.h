// The speed-quality curve of a family of models: what each trajectory cost and how good its pictures were.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "tstitch/draw/chart.h"
#include "tstitch/engine/run.h"
#include "tstitch/engine/run_spec.h"
#include "tstitch/eval/metrics.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

// A trajectory sampled with one seed.
struct CurveRun {
  std::string run;  // the fingerprint of its manifest: what determines its pictures
  uint64_t seed = 0;
  int64_t images = 0;
  double seconds = 0;                 // of the sampling
  std::vector<double> model_seconds;  // of that, by model
  MetricValues metrics;
};

struct CurvePoint {
  std::string kind, label;            // see SweepPoint
  std::vector<double> fractions;      // of the models, or none
  std::string sampler, steps_option;  // see SampleOptions
  int steps = 0;                      // of the trajectory
  std::string levels;                 // see hash_of_levels
  double eta = 0;
  std::string assignment;            // see format_assignment
  std::vector<int64_t> evaluations;  // of the trajectory, by model
  std::vector<CurveRun> runs;        // with different seeds

  // Filled by summarise.
  double seconds_per_image = 0;
  MetricValues mean, deviation;  // over the runs; a single run has no deviation
  bool pareto = false;           // no other is as fast and as good in the first metric, and in one more
};

struct Curve {
  std::vector<std::string> models;  // their names
  double cfg_scale = 1;
  std::string measured;  // by which network, against what: values of another measure do not compare
  std::string timed;     // on what, in what batches: nor do times; "" in curves of earlier versions
  std::vector<CurvePoint> points;
};

// Means, deviations, times and the Pareto frontier. A point's time is its evaluations times what one of each
// model takes, the median over all runs of the curve: so a run that other processes slowed down does not bend
// it.
void summarise(Curve& curve);

// Seconds of one evaluation of each model for one image, the median over the runs; 0 for a model without.
std::vector<double> seconds_per_evaluation(const Curve& curve);

// Lets an evaluation of a model take equally long in all of them, the median over all their runs, so that
// their times compare. Throws Error{usage} when the curves were measured differently or with other guidance.
void share_times(std::span<Curve> curves);

// One JSON object, "format": "tstitch-curve-1".
std::string to_json(const Curve& curve);
// The inverse, from a file. Throws Error{input} naming it and the key.
Curve read_curve(const std::string& path);

// A line for each point, its columns named in the first.
std::string to_csv(const Curve& curve);

// A metric over the seconds per image; the points of the frontier joined.
Chart chart_of(const Curve& curve, Metric metric, const std::string& title);

// Those of several curves, a series for the shares, the step counts and the orders of each. Throws
// Error{usage} when one has no point with the metric.
Chart chart_of(std::span<const Curve> curves, Metric metric, const std::string& title);

}  // namespace tstitch
