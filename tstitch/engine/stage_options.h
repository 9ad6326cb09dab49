// What a user says of one stage of a trajectory: --stage KEY=VALUE,...
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tstitch/diffusion/cheaper_form.h"
#include "tstitch/engine/lora_options.h"

namespace tstitch {

// Step i of N of the whole trajectory, from 0, is guided if low <= i / N < high (Kynkäänniemi et al. 2024,
// arXiv 2404.07724, in steps).
struct GuidanceInterval {
  double low = 0, high = 1;

  bool whole() const { return low <= 0 && high >= 1; }
  bool holds(int step, int steps) const { return low * steps <= step && step < high * steps; }
  bool operator==(const GuidanceInterval&) const = default;
};

// Who serves a span of the trajectory, and how it is asked; what is not said is the run's.
struct StageOptions {
  std::string model;            // "": the model of the same number
  std::optional<double> share;  // of the whole trajectory
  std::optional<int> until;     // its last step, from 1, of the whole trajectory
  std::optional<double> cfg_scale;
  std::optional<GuidanceInterval> cfg_interval;
  std::optional<std::string> negative_prompt;
  std::vector<LoraOption> loras;  // instead of the run's
  // The run's ControlNets that steer it, by their paths, or "none"; empty: all of them.
  std::vector<std::string> controls;
  std::optional<std::string> dtype;  // f32, bf16 or int8
  CheaperForm form;

  bool operator==(const StageOptions&) const = default;
};

// "model=a.safetensors,share=0.4,cfg=3": a value with a comma or a quote stands in double quotes, in which a
// quote is written twice. Throws Error{usage} that names the key.
StageOptions parse_stage(const std::string& text);
// The inverse.
std::string to_string(const StageOptions& stage);
// Of that what is no share and no model: "cfg=3", or "".
std::string settings_of(const StageOptions& stage);

// What the stage of that model says by itself instead of the run: `list` of it; null where it says nothing.
template <class One>
const std::vector<One>* own_of(const std::vector<StageOptions>& stages, size_t model,
                               std::vector<One> StageOptions::*list) {
  if (model >= stages.size() || (stages[model].*list).empty()) return nullptr;
  return &(stages[model].*list);
}

// Cheaper forms, joined by commas, as the stage that is asked in them: "int8,cache=3". Throws Error{usage}
// naming the option.
StageOptions parse_twin(const std::string& text, const std::string& option = "--twin");
// "merge=0.5,cache=3"
std::string to_string(const CheaperForm& form);

}  // namespace tstitch
