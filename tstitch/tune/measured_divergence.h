// A divergence with the times of its forms, and what it was measured of: what `analyze divergence` writes and
// `plan --divergence` reads.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <vector>

#include "tstitch/engine/engine.h"
#include "tstitch/tune/choose.h"
#include "tstitch/tune/divergence.h"

namespace tstitch {

using Times = std::map<Asking, EvaluationTime>;

struct MeasuredDivergence {
  // What it was measured of: other runs have another one.
  std::vector<std::string> models, contents;  // their names and what their files hold, see contents_of_models
  std::vector<std::string> stages;            // how each is asked, uncut, see ways_of_stages
  std::map<std::string, std::string> settings;  // of the whole run, by their fields' names (docs/analyses.md)
  std::string sampler, levels;                  // see hash_of_levels
  double eta = 0, cfg_scale = 1;
  std::string dtype;
  int64_t height = 0, width = 0;  // of the latents

  int64_t images = 0;              // that it is the mean of
  double sigma_data = kSigmaData;  // see step_weight
  bool weighed = false;            // whether the weights were measured, too
  Divergence divergence;

  std::string timed;        // on what, see describe_timing
  Times times;              // of a batch
  double decoding = 0;      // seconds of an image
  std::string autoencoder;  // by which one, see describe_autoencoder
};

// What the files of each model, its LoRAs and its ControlNets hold. between: called now and then; what it
// throws ends the work.
std::vector<std::string> contents_of_models(const std::vector<ModelInfo>& models,
                                            const std::function<void()>& between);

// How each model is asked and what it predicts: "prediction v, cfg=3,negative=blurry,dtype=int8,cache=3".
// What its files hold is said by contents_of_models.
std::vector<std::string> ways_of_stages(const RunSpec& spec, const std::vector<ModelInfo>& models);

// Of that run, on that device, with nothing measured yet.
MeasuredDivergence nothing_measured(const RunSpec& spec, const std::vector<ModelInfo>& models,
                                    std::vector<std::string> contents, const Backend& backend,
                                    double sigma_data);

// One JSON object with all of it.
nlohmann::ordered_json to_json(const MeasuredDivergence& measured);
// The inverse, from a file of `tstitch analyze divergence`. Throws Error{input} naming it and what is wrong.
MeasuredDivergence read_measured_divergence(const std::string& path);

// Throws Error{usage} naming the file and the difference where the divergence is of another run than
// `expected`, which has nothing measured: of other models, stages, steps, guidance, type or size.
void check_measured(const MeasuredDivergence& measured, const MeasuredDivergence& expected,
                    const std::string& path);

// Every way in which a model can be asked in the run's steps, whoever serves them.
std::set<Asking> askings_of(const RunSpec& spec, const Divergence& divergence);

// What every step of the spec takes and spoils in every form: seconds of all images. Throws Error{usage}
// where a time is missing.
StepCosts step_costs(const RunSpec& spec, const Divergence& divergence, const Times& times);

}  // namespace tstitch
