// What a run will do, decided and checked before any weight is loaded.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tstitch/diffusion/noise.h"
#include "tstitch/diffusion/solver.h"
#include "tstitch/diffusion/trajectory.h"
#include "tstitch/engine/sample_options.h"
#include "tstitch/io/picture.h"
#include "tstitch/zoo/embedding.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

// How a model is asked in its steps.
struct Stage {
  double cfg_scale = 1;               // 1: no guidance
  GuidanceInterval cfg_interval;      // which steps are guided
  std::string negative_prompt;        // what guidance leads away from, of models for text
  bool negative_is_zeros = false;     // instead of the encoded ""
  std::vector<size_t> controls = {};  // which of the run's ControlNets steer it
  std::string dtype = {};             // of its model, where it is not the run's
  CheaperForm form = {};

  bool guided() const { return cfg_scale != 1; }
  bool operator==(const Stage&) const = default;
};

struct RunSpec {
  // As asked, and what was left open decided: asked again they give this run. How the levels are spaced stays
  // open where the model's folder decides it, for whom another sampler may be asked.
  SampleOptions options;
  SpacingOptions spacing;                  // decided
  Trajectory trajectory;                   // with a threshold all of the first model, to begin with
  std::optional<double> switch_threshold;  // where every image switches by itself
  SolverOptions solver;
  std::vector<Stage> stages;  // of every model
  // Of every step its number in the trajectory without an initial picture, from 0, and how many that has.
  std::vector<int> numbers;
  int all_steps;
  int64_t cfg_channels;               // guided ones
  std::vector<int64_t> subjects;      // of every image: its class, or the index of its prompt
  int64_t channels, height, width;    // of the latents
  double initial_scale;               // of the noise at the start, see timesteps.h
  std::optional<PictureSizes> sizes;  // of models that are told them
  AestheticScores scores;
  std::vector<Embedding> embeddings;  // that its texts name
  // Why one that was asked for does nothing, and why --embedding-dir; "" where they all do something.
  std::string idle_embedding, idle_embedding_dir;
  Tensor mask;  // blurred as asked, or empty
  // Of every model whether what is known is blended into its steps: it does not see the mask (blended_of).
  std::vector<bool> blended;

  // The mask as the latents have it, (height, width) f32; empty where there is none.
  Tensor painted_places() const;
  int64_t images() const { return static_cast<int64_t>(subjects.size()); }
  // Whether guidance leads away from a null row in any of its stages.
  bool needs_null(std::span<const ModelInfo> models) const;
  // Of the model that serves the step.
  double cfg_scale_at(const Step& step) const;
  int guided_steps_of(int model) const;
  // Which of the controls of that stage hold in a step of the trajectory: see Row::controls.
  uint64_t controls_at(int stage, int step) const;
  // In how many of its steps the model is steered by that ControlNet of the run.
  int steered_steps_of(int model, size_t control) const;
  bool draws_noise() const;  // in its steps, beside that at the start
  // Whether that model may be asked.
  bool uses(int model) const { return switch_threshold || trajectory.steps_of(model) > 0; }
  // Of an image: alone and first in a run it is the same with this seed.
  uint64_t seed_of(int64_t image) const { return tstitch::seed_of(options.rng, options.seed, image); }
};

// The side of a latent for pictures of this many pixels, or that of the last model's training where nothing
// is asked. Throws Error{usage} that names the option when it is no multiple of what all models can take, or
// too large.
int64_t latent_side(const char* option, std::optional<int64_t> pixels, std::span<const ModelInfo> models);

// The seed of a run's repetition number `repeat`, from 0, none of whose images share their noise with
// another's.
uint64_t seed_of_repeat(const SampleOptions& options, int64_t repeat, int64_t images);

// What the files of a ControlNet hold (content_of), where somebody knows it.
using ContentReader = std::function<std::string(const ModelFiles& files)>;

// The information of the models that the options name, in order of use. Throws Error{usage} for choices that
// are not known, and what read_model_infos throws. content: of take_controls.
std::vector<ModelInfo> read_models(const SampleOptions& options, const ContentReader& content = {});

// Shares that the stages say become those of the options; afterwards stages only say how models are asked.
// models: how many there are.
void settle_stages(SampleOptions& options, size_t models);

// What the names of pictures mean that came with a request; none where they are files.
using PictureReader = std::function<std::shared_ptr<const Image>(const std::string& name)>;

// Reads the files that the options name into their tensors and pictures.
void read_files(SampleOptions& options, std::span<const ModelInfo> models,
                const PictureReader& picture_of = {});

// Throws Error{input} when the models cannot be stitched, with the reason and both names; Error{usage} for
// options out of range or at odds with the models.
RunSpec make_run_spec(const std::vector<ModelInfo>& models, const SampleOptions& options);

// The same of a run in which others will serve the steps (served_by): without what check_forms throws.
RunSpec make_spec_of_steps(const std::vector<ModelInfo>& models, const SampleOptions& options);

// Evaluations that are whole around another one (BlockCache::Focus) are decided by how many a stage has.
// Throws Error{usage} naming the stage where they do not lie so in the stages of this trajectory, where the
// stage has no such evaluation, and where images switch by themselves.
void check_forms(const RunSpec& spec);

}  // namespace tstitch
