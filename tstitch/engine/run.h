// Samples what a spec says.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/base/hash.h"
#include "tstitch/base/index_range.h"
#include "tstitch/condition/condition_maker.h"
#include "tstitch/diffusion/denoiser.h"
#include "tstitch/engine/run_spec.h"
#include "tstitch/zoo/model.h"

namespace tstitch {

// Where a run stands, told before each of its steps.
struct Progress {
  int64_t batch, batches;             // 0-based batch, and their number
  int step, steps;                    // 0-based step of the batch's trajectory, and their number
  int model;                          // who serves it
  IndexRange images;                  // of the batch
  int64_t images_done, images_total;  // of the batches before, and of all
};

class RunObserver {
 public:
  virtual ~RunObserver() = default;
  virtual void progress(const Progress&) {}
  // x, (N, H, W, C) at step.level, and what the step's model makes of it, guidance included: of every step
  // the first evaluation. images: of the batch.
  virtual void predicted(IndexRange /*images*/, const Step& /*step*/, const Tensor& /*x*/,
                         const Prediction& /*prediction*/) {}
  // The same of every evaluation of the step, in order, x at that level.
  virtual void evaluated(IndexRange /*images*/, const Step& /*step*/, const NoiseLevel& /*level*/,
                         const Tensor& /*x*/, const Prediction& /*prediction*/) {}
  // Asked after every step; true ends the run there.
  virtual bool cancelled() { return false; }
};

// Takes the latents of each batch as soon as it is finished, so that a run need not hold them all.
class BatchSink {
 public:
  virtual ~BatchSink() = default;
  // latents: (images.count, C, H, W) f32 on the host, all finite.
  virtual void take(IndexRange images, const Tensor& latents) = 0;
};

// Keeps them all, (N, C, H, W) for the N images of the spec.
class KeepLatents final : public BatchSink {
 public:
  explicit KeepLatents(const RunSpec& spec);
  void take(IndexRange images, const Tensor& latents) override;
  const Tensor& latents() const { return latents_; }

 private:
  Tensor latents_;
};

struct ModelTime {
  int64_t evaluations = 0;  // calls of the network, each for all images of a batch that it serves then
  double seconds = 0;       // wall time of the calls, guidance included, and of waiting for the evaluator
};

struct RunResult {
  Tensor latents;  // (N, C, H, W) f32 on the host; empty where a sink took them
  std::vector<ModelTime> models;
  std::vector<int64_t> small_steps;  // with adaptive switching, how many images took 0, 1, ... N small steps
  int64_t images = 0;                // sampled to the end
  uint64_t latents_hash = fnv1a(nullptr, 0);  // FNV-1a of their latents' bytes, in the order of sampling
  double seconds = 0;                         // wall time of the sampling, without the sink's
  double decode_seconds = 0;                  // and of the decoding, where there was one
  bool cancelled = false;
};

// What a run takes from networks that are not stitched.
struct EncodedInputs {
  std::vector<std::shared_ptr<const ConditionMaker>> conditions;  // of each model
  Tensor init_latent = {};  // (1, C, H, W) f32 on the host: the initial picture as a clean latent; or empty
};

// What the pictures of the spec show, as each of these models reads it. used: see ConditionOptions.
std::vector<std::shared_ptr<const ConditionMaker>> make_condition_makers(Backend& backend,
                                                                         const std::vector<ModelInfo>& models,
                                                                         const RunSpec& spec,
                                                                         const std::vector<bool>& used = {});

// All images of the spec. models: one per denoiser of the trajectory; those that serve no step may be without
// a network. Throws Error{input} when a result is not finite, naming the image.
RunResult run(Backend& backend, std::span<const Model> models, const RunSpec& spec, RunObserver& observer,
              const EncodedInputs& inputs);
// Without an initial picture, and what they show is encoded first.
RunResult run(Backend& backend, std::span<const Model> models, const RunSpec& spec, RunObserver& observer);

// Only these images of the spec, in batches that do not reach from one range into the next; `sink` takes what
// is finished. An image does not depend on which others are sampled, nor on who else asks the evaluator.
RunResult run(Backend& backend, Evaluator& evaluator, std::span<const Model> models, const RunSpec& spec,
              std::span<const IndexRange> images, RunObserver& observer, BatchSink& sink,
              const EncodedInputs& inputs);
// With evaluations of its own.
RunResult run(Backend& backend, std::span<const Model> models, const RunSpec& spec,
              std::span<const IndexRange> images, RunObserver& observer, BatchSink& sink,
              const EncodedInputs& inputs);

// How often `model` is evaluated for one batch of the spec.
int64_t evaluations(Backend& backend, const RunSpec& spec, int model);

// Seconds of one evaluation of `model` on a batch of the spec, with guidance of that scale (1: none) and
// steered by these of its controls (see Row): the median of `repeats`, after one that pays for fresh memory.
// whole: the evaluation takes nothing from the one before (BlockCache).
double time_evaluation(Backend& backend, const Model& model, const RunSpec& spec, double cfg_scale,
                       uint64_t controls, int repeats, const ConditionMaker& conditions, bool whole = true);

}  // namespace tstitch
