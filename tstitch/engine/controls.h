// The ControlNets of a run: who is steered by which, the pictures they follow, and the networks once loaded.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/condition/condition_maker.h"
#include "tstitch/engine/run_spec.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

// Gives every model those of the run's ControlNets that its stage names, or else all (ModelInfo::controls).
// Throws Error{input} for files that are none or broken, and for one that does not fit a model it is for,
// with the reason; Error{usage} where a stage names one that the run has not, or none names one that it has.
void take_controls(const SampleOptions& options, std::vector<ModelInfo>& models);

// The picture of a ControlNet for pictures of width x height: cut and scaled as an initial picture; with
// thresholds its edges. Returns (3, height, width) f32 in [0, 1]. Throws what read_picture throws.
Tensor read_hint(const ControlOption& control, int64_t width, int64_t height);

// Of each of the run's ControlNets that steers a model which is asked (`used`), loaded, with its hint read;
// null for others. Every file is loaded once.
std::vector<std::shared_ptr<const Control>> load_controls(Backend& backend, std::span<const ModelInfo> models,
                                                          const RunSpec& spec, const std::vector<bool>& used);

// The conditions of models that are steered, with `controls`, one for each of the run's.
void steer(std::vector<std::shared_ptr<const ConditionMaker>>& conditions, std::span<const ModelInfo> models,
           std::span<const std::shared_ptr<const Control>> controls);

}  // namespace tstitch
