// Samples what a plan says.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/pipeline/model.h"
#include "tstitch/pipeline/plan.h"

namespace tstitch {

// Where a run stands, told before each of its steps.
struct Progress {
  int64_t batch, batches;  // 0-based batch, and their number
  int step, steps;         // 0-based step of the batch's trajectory, and their number
  int model;               // who serves it
};

class RunObserver {
 public:
  virtual ~RunObserver() = default;
  virtual void progress(const Progress&) {}
  // Asked after every step; true ends the run there.
  virtual bool cancelled() { return false; }
};

struct ModelTime {
  int64_t evaluations = 0;  // calls of the network, each for a whole batch
  double seconds = 0;       // wall time of the steps it served
};

struct RunResult {
  Tensor latents;  // (N, C, H, W) f32 on the host
  std::vector<ModelTime> models;
  double seconds = 0;         // wall time of the sampling
  double decode_seconds = 0;  // and of the decoding, where there was one
  bool cancelled = false;
};

// What a run takes from networks that are not stitched. Host or device tensors, f32; empty where not needed.
struct RunInputs {
  Tensor contexts;     // of the prompts, see Conditions
  Tensor init_latent;  // (1, C, H, W) on the host: the plan's initial picture as a clean latent
};

// models: one per denoiser of the trajectory; those that serve no step may be without a network.
// Throws Error{input} when a result is not finite, naming the image.
RunResult run(Backend& backend, std::span<const Model> models, const Plan& plan, RunObserver& observer,
              const RunInputs& inputs = {});

// How often `model` is evaluated for one batch of the plan.
int64_t evaluations(Backend& backend, const Plan& plan, int model);

// Seconds of one evaluation of `model` on a batch of the plan, guidance included: the median of `repeats`,
// after one that pays for fresh memory.
double time_evaluation(Backend& backend, const Model& model, const Plan& plan, int repeats,
                       const RunInputs& inputs = {});

}  // namespace tstitch
