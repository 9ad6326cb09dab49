#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/zoo/architecture.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

struct Model {
  ModelInfo info;
  std::shared_ptr<const Network> network;  // of several models of one file the same
  double load_seconds = 0;
};

// The information of every file, in order, see read_model_info. Where names are the same, with the folder's
// before them; networks that come alone with the text encoders, the autoencoder and the scheduler of one of
// the same kind.
std::vector<ModelInfo> read_model_infos(const std::vector<std::string>& paths,
                                        WeightChoice weights = WeightChoice::automatic,
                                        std::optional<Parameterization> prediction = {});

// Loads the weights onto the backend. Throws Error{input} when the file's tensors do not fit its
// configuration or hold numbers that are not finite. threads: of the host, that merge LoRAs (MergedWeights).
Model load_model(const ModelInfo& info, Backend& backend, int threads = 0);

// The model of random weights (nn/random_weights.h) under its name, where only speed or parity matters.
Model random_model(const ModelInfo& info, uint64_t seed, Backend& backend);

}  // namespace tstitch
