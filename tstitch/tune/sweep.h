// The same images along many trajectories: their pictures, times and metrics.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tstitch/draw/figure.h"
#include "tstitch/engine/engine.h"
#include "tstitch/tune/curve.h"
#include "tstitch/tune/measure.h"
#include "tstitch/tune/sweep_points.h"
#include "tstitch/tune/sweep_state.h"

namespace tstitch {

struct SweepOptions {
  std::vector<double> ratios;  // shares of the first of two models; or
  std::optional<int> grid;     // parts that the models share in every way. Default: 10 of two, 5 of more
  bool orders = false;         // the orders of two models; then shares only where they are asked for
  std::vector<std::string> step_counts;  // also the last model alone in so many steps each
  int repeats = 1;                       // runs of every trajectory, each with the next seed
  std::optional<int64_t> rows;           // of the picture. Default: all images up to 10, else 8
};

// What a sweep is about, decided before anything is loaded, so that a bad ratio costs nothing.
struct Sweep {
  std::vector<ModelInfo> infos;
  std::vector<SweepPoint> points;
  std::vector<RunSpec> specs;  // of point i and repeat r: specs[i * repeats + r]
  size_t repeats;
  std::vector<Metric> metrics;
  int64_t rows;  // of the picture

  std::string title() const;
  Shape picture() const;  // (H, W, C) of an image
};

// base: what all trajectories share. Throws Error{usage} for options out of range or at odds with the models.
Sweep make_sweep(const std::vector<ModelInfo>& infos, const SampleOptions& base, const SweepOptions& options,
                 const std::vector<Metric>& metrics);

// The fingerprints of its specs (run_manifest.h), in their order. vae: see autoencoder_path.
std::vector<std::string> fingerprints_of(const Sweep& sweep, const std::string& vae, const Backend& backend,
                                         const std::function<void()>& between);

// What its times depend on beside the runs: the machine, threads, and images in a batch.
std::string describe_timing(const Sweep& sweep, const Backend& backend);

// Sees a sweep go by.
class SweepObserver {
 public:
  virtual ~SweepObserver() = default;
  virtual std::unique_ptr<RunObserver> observe(const RunSpec&) { return std::make_unique<RunObserver>(); }
  // A point with all its runs. alone: seconds per image of the last model alone, 0 while they are not known.
  virtual void finished(const CurvePoint&, double /*alone*/) {}
};

struct SweepResult {
  Curve curve;
  Figure figure;
};

// Samples what the state does not know already and keeps it there. The engine has loaded the specs. Nothing
// when an observer has cancelled a run.
std::optional<SweepResult> run_sweep(Engine& engine, const Sweep& sweep, const Measure& measure,
                                     const std::vector<std::string>& fingerprints, SweepState& state,
                                     SweepObserver& observer);

}  // namespace tstitch
