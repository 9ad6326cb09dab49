// By which network pictures are measured, and against what.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/eval/metrics.h"
#include "tstitch/eval/picture_set.h"

namespace tstitch {

struct MeasureOptions {
  std::string reference, features, metrics;  // "": as the functions below and the metrics' caller say
};

// The network and the reference of metrics.
struct Measure {
  std::unique_ptr<Backend> backend = make_backend({.dtype = "f32"});
  std::unique_ptr<FeatureExtractor> network;  // null when nothing is measured
  SetStatistics reference;
  std::string description;  // of both, so that values of another measure are told apart
};

// The samples of a measure: (H, W, C) of each, how many there will be, and whether texts say what they show.
struct ExpectedSamples {
  Shape picture;
  int64_t images = 0;
  bool of_text = false;
};

// The description of what load_measure would give, "" without metrics: reads the files' checksums only.
// between: called now and then; what it throws ends the work.
std::string describe_measure(const MeasureOptions& options, const std::vector<Metric>& metrics,
                             const Shape& picture, const std::function<void()>& between);

// Throws Error{usage} where a metric cannot be had of the samples.
Measure load_measure(const MeasureOptions& options, const std::vector<Metric>& metrics,
                     const ExpectedSamples& samples, const std::function<void()>& between);

// The feature network for pictures of (H, W, C): --features, or for those of a demo family its own.
// backend: computes in f32. Throws Error{usage} where none is named for other pictures.
std::unique_ptr<FeatureExtractor> feature_extractor_for(Backend& backend, const MeasureOptions& options,
                                                        const Shape& picture);

// The file of that network. Throws as above.
std::string feature_file_for(const MeasureOptions& options, const Shape& picture);

// --reference, or for a demo family's pictures the set they are measured against.
std::string reference_for(const MeasureOptions& options, const Shape& picture);

}  // namespace tstitch
