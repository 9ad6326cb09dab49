// What a checkpoint says about itself, read without loading its weights.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tstitch/diffusion/cheaper_form.h"
#include "tstitch/diffusion/denoiser.h"
#include "tstitch/diffusion/noise_schedule.h"
#include "tstitch/diffusion/solver.h"
#include "tstitch/diffusion/switch_rule.h"
#include "tstitch/diffusion/timesteps.h"
#include "tstitch/io/checkpoint.h"
#include "tstitch/models/clip_text_keys.h"
#include "tstitch/zoo/architecture.h"
#include "tstitch/zoo/family.h"
#include "tstitch/zoo/lora.h"
#include "tstitch/zoo/model_files.h"

namespace tstitch {

// The noise a model was trained with: a discrete schedule of betas (tstitch/diffusion/noise_schedule.h) or
// the straight lines of a rectified flow (tstitch/diffusion/flow_schedule.h).
struct TrainingNoise {
  // "scaled_linear", "squaredcos_cap_v2" (no start and end), "trained", or "flow"
  std::string kind = "linear";
  double start = 1e-4;  // of betas
  double end = 2e-2;
  double shift = 1;  // of flows
  int timesteps = 1000;
  std::vector<double> trained;  // betas, one for each timestep
  bool zero_snr = false;        // the last timestep has no signal (NoiseSchedule::zero_terminal_snr)

  bool flow() const { return kind == "flow"; }
  NoiseSchedule betas() const;  // Error{internal} for a flow
  bool operator==(const TrainingNoise&) const = default;
};

// How a model is sampled unless the user says otherwise: as its reference does.
struct SamplingDefaults {
  std::string sampler = "ddim";
  int steps = 50;  // fewer of models that were distilled
  double eta = 0;
  SwitchRule switch_rule = SwitchRule::dit;
  double cfg_scale = 4;
  int64_t cfg_channels = 0;                  // guided ones; 0: all
  Spacing ddim_spacing = Spacing::respaced;  // what ddim and ddpm take
  SpacingOptions spacing;                    // what its scheduler's configuration says,
  bool ends_at_lowest = false;               // and its "final_sigmas_type"; whom it concerns: honours()
  SolverOptions solver;                      // of that sampler alone; eta above is any's
  bool lower_order_final = true, euler_at_final = false;
  // Why its scheduler cannot be followed, for who names no sampler; else empty.
  std::string refusal;
};

// How a model is told what to draw.
enum class ConditionKind {
  classes,       // by the number of a class
  class_tokens,  // by the token of context that stands for a class; a table in its file has them
  text           // by a text, encoded as tokens of context
};

struct ConditionInfo {
  ConditionKind kind = ConditionKind::classes;
  int64_t num_classes = 0;       // 0 for texts
  int64_t width = 0;             // of a token of context; 0 where classes are numbers
  std::string class_table = "";  // for class_tokens: the tensor of them, (num_classes, width)
  bool told_guidance = false;    // the network is told the scale of guidance (Row::guidance)
  // The network was trained to repaint: beside the latent it sees the mask and the latent of what is left of
  // the picture (Rombach et al. 2022, arXiv 2112.10752, section 4.5).
  bool sees_mask = false;
  // Of networks that are told more than tokens, as SDXL's (Podell et al. 2023, arXiv 2307.01952,
  // section 2.2):
  int64_t pooled_width = 0;    // of the text as a whole; 0: they are told nothing more
  int64_t number_width = 256;  // of the sinusoids of each number beside it: sizes in pixels,
  bool scored = false;         // and how good it is to look like instead of the last two: SDXL's refiner
  bool empty_is_zeros = true;  // no negative prompt is zeros ("force_zeros_for_empty_prompt"), not ""

  // The encoders of its texts, whose tokens lie side by side in the context; the last gives the pooled text.
  std::vector<ClipPlace> encoders() const;
  // Whether guidance of that scale, 1 for none, leads away from a null row.
  bool needs_null(double cfg_scale) const { return cfg_scale != 1 && !told_guidance; }
  bool operator==(const ConditionInfo&) const = default;
};

struct ControlNetInfo;

// A ControlNet that steers a model.
struct ModelControl {
  size_t number;  // among those of the run
  std::shared_ptr<const ControlNetInfo> net;
};

struct ModelInfo {
  std::string path;  // as the user gave it
  ModelFiles files;
  WeightChoice weights = WeightChoice::automatic;
  std::string name;  // of the file's metadata, else of the file
  std::shared_ptr<const Architecture> architecture;
  int64_t channels = 4, side = 32;  // of the latents it was trained with
  int64_t pixels_per_latent = 8;    // of a side; the autoencoders of DiT and Stable Diffusion have 8
  bool pixels = false;              // latents are images in [-1, 1]; else they need a decoder
  // What the autoencoder's latents were multiplied by, where no file of the autoencoder says it; nothing for
  // latents of which no published model says it either.
  std::optional<double> latent_scale = 0.18215;
  bool any_size = false;  // takes latents of other sizes as well
  ConditionInfo condition;
  std::vector<std::string> classes;  // the names of its classes, or empty
  TrainingNoise noise;
  Parameterization prediction = Parameterization::eps;  // what the network was trained to predict
  bool says_training = false;                           // its own file says that prediction and the noise
  SamplingDefaults defaults;
  int64_t file_bytes = 0;
  std::map<std::string, int64_t> modified;  // MappedFile::modified of the files of its tensors
  std::string dtypes;                       // of the stored tensors: "F32" or "BF16, F32"
  std::vector<Lora> loras;                  // that change it, in this order
  std::vector<RefusedLora> refused_loras;
  std::vector<ModelControl> controls;  // that steer it, in this order
  std::string dtype;                   // as BackendOptions::dtype, where it is not to be the run's
  CheaperForm form;                    // in which it is asked
};

// Whether both are one network, of one file that was not written anew, changed alike and of one type.
bool same_network(const ModelInfo& a, const ModelInfo& b);

// The tensors of a model: of one file, or of the shards of an index.
TensorFile open_weights(const ModelFiles& files, WeightChoice weights);

// As the first of the families that recognises the model describes it. Throws Error{input} when none does,
// and for values that are missing, out of range or in conflict with the tensors. prediction: instead of what
// the files say, or of what most files like them predict where they say nothing; Error{usage} for a rectified
// flow, which has one only.
ModelInfo read_model_info(const std::string& path, WeightChoice weights = WeightChoice::automatic,
                          std::optional<Parameterization> prediction = {},
                          std::span<const Family> families = builtin_families());

std::vector<std::string> names_of(std::span<const ModelInfo> models);

// Why these two cannot take turns on one trajectory, one sentence each; empty when they can.
std::vector<std::string> stitch_obstacles(const ModelInfo& a, const ModelInfo& b);

}  // namespace tstitch
