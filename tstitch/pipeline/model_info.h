// What a checkpoint says about itself, read without loading its weights.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tstitch/diffusion/denoiser.h"
#include "tstitch/diffusion/noise_schedule.h"
#include "tstitch/io/checkpoint.h"
#include "tstitch/models/dit.h"
#include "tstitch/pipeline/model_files.h"

namespace tstitch {

// The discrete noise schedule a model was trained with (tstitch/diffusion/noise_schedule.h).
struct BetaSchedule {
  std::string kind = "linear";  // or "scaled_linear" or "squaredcos_cap_v2", which needs no start and end
  double start = 1e-4;
  double end = 2e-2;
  int timesteps = 1000;

  NoiseSchedule schedule() const;
  bool operator==(const BetaSchedule&) const = default;
};

struct ModelInfo {
  std::string path;  // as the user gave it
  ModelFiles files;
  WeightChoice weights = WeightChoice::automatic;
  std::string name;  // of the file's metadata, else of the file
  DiTConfig config;
  BetaSchedule betas;
  Parameterization prediction = Parameterization::eps;  // what the network was trained to predict
  bool pixels = false;               // latents are images in [-1, 1]; else they need a decoder
  std::vector<std::string> classes;  // names, or empty
  double cfg_scale = 4;              // default guidance: the reference's unless the file recommends another
  int64_t file_bytes = 0;
  std::string dtypes;  // of the stored tensors: "F32" or "BF16, F32"
  // Of a side; the autoencoders of DiT and Stable Diffusion have 8.
  int64_t pixels_per_latent = 8;
};

// The tensors of a model: of one file, or of the shards of an index.
TensorFile open_weights(const ModelFiles& files, WeightChoice weights);

// The configuration is the JSON string `config` in the file's metadata, else config.json beside the file
// (ours, or diffusers'), else it is inferred from the shapes. Throws Error{input} for values that are
// missing, out of range or in conflict with the tensors.
ModelInfo read_model_info(const std::string& path, WeightChoice weights = WeightChoice::automatic);

// Why these two cannot take turns on one trajectory, one sentence each; empty when they can.
std::vector<std::string> stitch_obstacles(const ModelInfo& a, const ModelInfo& b);

// The weights of a file under the names that the models ask for. `file` must outlive them.
std::unique_ptr<WeightSource> official_weights(const TensorFile& file);

}  // namespace tstitch
