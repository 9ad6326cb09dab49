// What a run will do, decided and checked before any weight is loaded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tstitch/diffusion/noise.h"
#include "tstitch/diffusion/solver.h"
#include "tstitch/diffusion/switch_rule.h"
#include "tstitch/diffusion/timesteps.h"
#include "tstitch/diffusion/trajectory.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

// What a user asks for. Names and defaults are those of the command line.
struct SampleOptions {
  // Who serves which step: shares of the models in order of use (sum 1), or the steps at which the next model
  // takes over, or the model of every step. All empty: 0.4 for the first of two models, equal shares of more.
  std::vector<double> fractions;
  std::vector<int> switch_steps;
  std::vector<int> assignment;
  std::optional<SwitchRule> switch_rule;  // default: the last model's, like the three below
  // Instead: each image switches from the first of two models to the second by itself (adaptive_switch.h).
  bool adaptive = false;
  std::optional<double> switch_threshold;  // default: default_switch_threshold

  std::string sampler;
  std::string steps = "50";             // see make_levels
  SpacingOptions spacing;               // which levels they visit
  std::optional<double> eta;            // DDIM: 0 deterministic ... 1 as much noise as DDPM
  bool solver_reset = false;            // see SolverOptions::reset_at_switch
  std::optional<double> cfg_scale;      // 1: no guidance
  std::optional<int64_t> cfg_channels;  // 0: all

  // Of models for classes:
  std::vector<int64_t> classes;  // empty: the reference's eight for ImageNet models, else every class
  bool random_classes = false;   // one class per image, drawn from the seed
  // What stands for no class where the model has no row for it: (condition.width) f32, (1) for the same
  // number everywhere, or empty for random numbers in [0, 1) of each image, as the reference has them.
  Tensor null_context;
  // Of models for text, as UTF-8:
  std::vector<std::string> prompts;
  std::string negative_prompt;  // what guidance leads away from
  int64_t clip_skip = 0;        // see TextEncoder
  int64_t batch_count = 1;      // images per class or prompt; with random_classes, images
  int64_t batch_size = 8;       // images sampled at once
  uint64_t seed = 0;
  std::string rng = "philox";            // where the noise comes from, see make_noise
  std::optional<int64_t> width, height;  // of the images in pixels; default: the training size

  GivenLatents given;  // instead of noise from the seed

  // Start from a picture, (3 or 1, H, W) in [-1, 1], with as much noise as the share `strength` of the steps
  // takes away; sizes default to the picture's. Which model serves a step is decided as if all were taken,
  // but for an assignment, which has only those that are.
  Tensor init_image;
  double strength = 0.75;
};

struct RunSpec {
  Trajectory trajectory;                   // with a threshold all of the first model, to begin with
  std::optional<double> switch_threshold;  // where every image switches by itself
  std::string sampler;
  SolverOptions solver;
  double cfg_scale;
  int64_t cfg_channels;              // guided ones
  std::vector<int64_t> subjects;     // of every image: its class, or the index of its prompt
  Tensor null_context;               // see SampleOptions
  std::vector<std::string> prompts;  // none for models of classes
  std::string negative_prompt;
  int64_t clip_skip;
  int64_t batch_size;
  uint64_t seed;
  std::string rng;
  int64_t channels, height, width;  // of the latents
  double initial_scale;             // of the noise at the start, see timesteps.h
  GivenLatents given;
  Tensor init_image;  // (channels of a picture, H, W) of the size of the images; or empty

  int64_t images() const { return static_cast<int64_t>(subjects.size()); }
  bool guided() const { return cfg_scale != 1; }
  // Whether that model may be asked.
  bool uses(int model) const { return switch_threshold || trajectory.steps_of(model) > 0; }
};

// The side of a latent for pictures of this many pixels, or that of the training where nothing is asked.
// Throws Error{usage} that names the option when it is no multiple of what the model can take, or too large.
int64_t latent_side(const char* option, std::optional<int64_t> pixels, const ModelInfo& model);

// Throws Error{input} when the models cannot be stitched, with the reason and both names; Error{usage} for
// options out of range or at odds with the models.
RunSpec make_run_spec(const std::vector<ModelInfo>& models, const SampleOptions& options);

}  // namespace tstitch
