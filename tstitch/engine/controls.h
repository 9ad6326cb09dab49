// The ControlNets of a run: who is steered by which, the pictures they follow, and the networks once loaded.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/condition/condition_maker.h"
#include "tstitch/engine/run_spec.h"
#include "tstitch/io/picture.h"
#include "tstitch/zoo/control_net.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

// Gives every model those of the run's ControlNets that its stage names, or else all (ModelInfo::controls).
// Throws Error{input} for files that are none or broken, and for one that does not fit a model it is for,
// with the reason; Error{usage} where a stage names one that the run has not, or none names one that it has.
// content: what their files hold, where somebody knows it without reading them whole.
void take_controls(const SampleOptions& options, std::vector<ModelInfo>& models,
                   const ContentReader& content = {});

// The picture of a ControlNet for pictures of width x height: cut and scaled as an initial picture; with
// thresholds its edges. Returns (3, height, width) f32 in [0, 1].
Tensor make_hint(const Image& picture, const ControlOption& control, int64_t width, int64_t height);

// A ControlNet that steers a model which is asked.
struct NeededControl {
  std::shared_ptr<const ControlNetInfo> net;
  const ModelInfo* base = nullptr;  // for a difference: the last model that it steers, asked or not
  std::set<size_t> numbers = {};    // which of the run's controls it is
};
// used: of every model whether it is asked.
std::vector<NeededControl> needed_controls(std::span<const ModelInfo> models, const std::vector<bool>& used);

// Has the networks: see load_control_net.
using ControlLoader =
    std::function<std::shared_ptr<const ControlNetwork>(const ControlNetInfo& net, const ModelInfo& base)>;

// Of each of the run's ControlNets that steers a model which is asked (`used`), loaded, with its hint made
// and read; null for others. Every file is loaded once, onto the backend where no `load` is given.
std::vector<std::shared_ptr<const Control>> load_controls(Backend& backend, std::span<const ModelInfo> models,
                                                          const RunSpec& spec, const std::vector<bool>& used,
                                                          const ControlLoader& load = {});

// The conditions of models that are steered, with `controls`, one for each of the run's.
void steer(std::vector<std::shared_ptr<const ConditionMaker>>& conditions, std::span<const ModelInfo> models,
           std::span<const std::shared_ptr<const Control>> controls);

}  // namespace tstitch
