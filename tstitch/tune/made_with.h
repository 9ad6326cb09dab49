// What a plan was made with, beside the trajectory that it holds (chosen_trajectory.h): with other LoRAs,
// ControlNets, sizes or settings neither its times nor its quality are those of the run. What is painted,
// prompts, classes, seeds and pictures, is not of it.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tstitch/engine/run_spec.h"

namespace tstitch {

// A LoRA or a ControlNet of a model. Where it lies and how it is called does not count.
struct AddedFile {
  std::string name;     // without the folder, for messages
  std::string content;  // "crc32 0123abcd"
  std::string how;      // "x 0.5"

  bool operator==(const AddedFile& other) const { return content == other.content && how == other.how; }
};

struct MadeWith {
  std::vector<std::vector<AddedFile>> loras, control_nets;  // of every model, or none at all
  std::map<std::string, std::string> embeddings;            // that its texts name: what their files hold
  std::map<std::string, std::string>
      settings;  // that had an effect, by their fields' names; "": nothing said
};

// Of that run. Reads the files of its --vae. between: called now and then; what it throws ends the work.
MadeWith made_with(const RunSpec& spec, const std::vector<ModelInfo>& models,
                   const std::function<void()>& between);

nlohmann::ordered_json to_json(const MadeWith& made);
// The inverse. Throws Error{input} naming `where` for what is not of so many models, and json::exception.
MadeWith made_with_of(const nlohmann::json& object, size_t models, const std::string& where);

// Throws Error{usage} naming the option and both sides where the run is made with something else than the
// plan: in models that serve a step, in settings that have an effect on both, in embeddings that its texts
// name.
void check_made_with(const MadeWith& plan, const RunSpec& spec, const std::vector<ModelInfo>& models,
                     const std::function<void()>& between);

}  // namespace tstitch
