// What a user asks of a run. Names and defaults are those of the command line; fields.h lists them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/condition/picture_sizes.h"
#include "tstitch/diffusion/blend.h"
#include "tstitch/diffusion/noise.h"
#include "tstitch/diffusion/switch_rule.h"
#include "tstitch/diffusion/timesteps.h"
#include "tstitch/engine/control_options.h"
#include "tstitch/engine/embedding_options.h"
#include "tstitch/engine/file_contents.h"
#include "tstitch/engine/stage_options.h"
#include "tstitch/io/png.h"
#include "tstitch/text/prompt.h"

namespace tstitch {

struct SampleOptions {
  // Who serves which step: shares of the models in order of use (sum 1), or the steps at which the next model
  // takes over, or the model of every step. All empty: 0.4 for the first of two models, equal shares of more.
  std::vector<double> fractions;
  std::vector<int> switch_steps;
  std::vector<int> assignment;
  // One for each model, where they are asked differently; or none. Shares said there are the run's
  // (settle_stages).
  std::vector<StageOptions> stages;
  std::optional<SwitchRule> switch_rule;  // default: the last model's, like the three below
  // Instead: each image switches from the first of two models to the second by itself (adaptive_switch.h).
  bool adaptive = false;
  std::optional<double> switch_threshold;  // default: default_switch_threshold

  std::string sampler;
  std::string steps;                    // see make_levels; default: the model's, 50 or fewer
  SpacingOptions spacing;               // which levels they visit
  std::optional<double> eta;            // DDIM: 0 deterministic ... 1 as much noise as DDPM
  bool solver_reset = false;            // see SolverOptions::reset_at_switch
  std::optional<double> cfg_scale;      // 1: no guidance
  std::optional<int64_t> cfg_channels;  // 0: all

  // Of models for classes:
  std::vector<int64_t> classes;  // empty: the reference's eight for ImageNet models, else every class
  bool random_classes = false;   // one class per image, drawn from its seed
  // What stands for no class where the model has no row for it: (condition.width) f32, (1) for the same
  // number everywhere, or empty for random numbers in [0, 1) of each image, as the reference has them.
  Tensor null_context;
  // Of models for text, as UTF-8:
  std::vector<std::string> prompts;
  std::string negative_prompt;  // what guidance leads away from
  PromptStyle prompt_style = PromptStyle::webui;
  int64_t clip_skip = 0;  // see TextEncoder
  // Words that prompts may have, and the folder of more (take_embeddings.h).
  std::vector<EmbeddingOption> embeddings;
  std::string embedding_dir;
  // Of those that are told sizes. Default: the picture's size, uncut; as the models' folders say, else zeros.
  std::optional<PixelSize> original_size, target_size;
  std::optional<PixelPoint> crop;
  std::optional<bool> empty_is_zeros;  // whether no negative prompt is zeros, else the encoded ""
  // Of those that are told how good to look; default: AestheticScores'.
  std::optional<double> aesthetic_score, negative_aesthetic_score;
  int64_t batch_count = 1;               // images per class or prompt; with random_classes, images
  int64_t batch_size = 8;                // images sampled at once
  uint64_t seed = 0;                     // of the first image; the others' follow from it (RunSpec::seed_of)
  std::string rng = "philox";            // where the noise comes from, see make_noise
  std::optional<int64_t> width, height;  // of the images in pixels; default: the training size

  GivenLatents given;  // instead of noise from the seed

  // Start from a picture, (3 or 1, H, W) in [-1, 1], with as much noise as the share `strength` of the steps
  // takes away; sizes default to the picture's. Which model serves a step is decided as if all were taken,
  // but for an assignment, which has only those that are.
  Tensor init_image;
  std::optional<double> strength;  // default: 0.75, with a mask 1
  // Paint only a part of it: (H, W), the share of each pixel that is painted, 0 ... 1; the rest is known.
  Tensor mask;
  double mask_blur = 0;  // pixels, see blurred()
  Blend blend = Blend::step;

  // ControlNets; the stages may name those that steer them.
  std::vector<ControlOption> controls;
  std::vector<std::shared_ptr<const Image>> hints;  // of each the picture that it follows: see make_hint

  // What files are to hold, by an earlier run; and what those do that were read.
  std::vector<FileContent> contents;

  // The files that read_files reads five of the tensors from, and what metadata say of them.
  struct Files {
    std::string init_image, mask, init_latent, noise;
    std::string null_context;  // or "uniform" or "zeros"
  } files;

  // Which models, for read_models: those, or the small one and the large one, or one and its twin, or the
  // demo family.
  std::vector<std::string> models;
  std::string small, large;
  std::string twin;  // a cheaper form of the one model, of which the first of `stages` then is; or none
  std::string weights = "auto", prediction;
  std::vector<LoraOption> loras;  // of every model that they fit; stages may have their own
  std::string vae;                // the autoencoder, "" for what comes with the last model
  BackendOptions backend;
  bool no_memory_check = false;  // load the models even where memory does not seem to suffice
};

}  // namespace tstitch
