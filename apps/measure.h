// The options of `eval` and `sweep` that say what is measured, shared.
#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <string>
#include <vector>

#include "tstitch/eval/metrics.h"
#include "tstitch/eval/picture_set.h"

namespace tstitch {

struct MeasureArguments {
  std::string reference, features, metrics;
};

void add_measure_options(CLI::App& command, MeasureArguments& arguments);

// The feature network for pictures of (H, W, C): --features, or for those of the demo family its own.
// backend: computes in f32. Throws Error{usage} where none is named for other pictures.
std::unique_ptr<FeatureExtractor> feature_extractor_for(Backend& backend, const MeasureArguments& arguments,
                                                        const Shape& picture);

// --reference, or for the demo family's pictures the test set they were trained beside.
std::string reference_for(const MeasureArguments& arguments, const Shape& picture);

}  // namespace tstitch
