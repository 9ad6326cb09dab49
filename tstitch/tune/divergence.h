// How far cheaper forms of a denoiser are from it, evaluation by evaluation along its own trajectory: other
// models, other types, merged tokens, cached blocks. What a plan of stages is made from.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/engine/run.h"
#include "tstitch/engine/run_spec.h"
#include "tstitch/zoo/model.h"

namespace tstitch {

// s of the weights of steps (step_weight), where nobody says it. Gaussian data of the deviation of latents,
// 1, would forget early errors that real ones keep: with 4 the plans for the demo family are the best
// (docs/metrics.md).
inline constexpr double kSigmaData = 4;

// A form's answer beside the last model's at the same x, over all images.
struct Distance {
  double rms = 0;       // d: the root mean square of the difference, per element
  double relative = 0;  // d over the root mean square of the last model's answer
  double cosine = 1;    // between the two, the mean over images
};

struct FormDivergence {
  // Of evaluations that depend on the last whole one: after so many one is whole again (BlockCache::every).
  int64_t ages = 1;
  // [evaluation][age], 0 of a whole one: as many ages as there can be so far, min(evaluation + 1, ages).
  std::vector<std::vector<Distance>> at;
};

struct Divergence {
  std::vector<int> evaluations;  // of every step
  std::vector<double> weights;   // of every step, see step_weight
  std::vector<FormDivergence>
      forms;  // of every model; of the last, which the others are compared with, empty

  size_t all_evaluations() const;
};

// The evaluations of every step of the trajectory, by the run's sampler.
std::vector<int> evaluations_of_steps(Backend& backend, const RunSpec& spec);

// Throws Error{usage} where the models cannot be compared: the last has cached blocks, and its answers depend
// on when it was last whole; or another's are not whole evenly apart, so that an age does not say when they
// are.
void check_compares(std::span<const ModelInfo> models);

// What measuring holds beside a run of so many images: of every form with cached blocks what its other
// beginnings keep, which go on side by side. A little less than it really takes, as memory_needed.
int64_t divergence_bytes(std::span<const ModelInfo> models, const RunSpec& spec, int64_t images);

// Lets the last model serve all steps of the spec and asks every other form what it was asked, guided as that
// would be in its place. The answers that are compared are eps or, in steps that begin in noise alone (alpha
// = 0), from which no eps can be told, x0. Of a form with cached blocks there are as many beginnings as it
// has ages, an evaluation apart, so that every evaluation is asked at every age. sigma_data: of the weights.
// No forms when the observer cancelled. Throws Error{input} where answers are not finite, and what
// check_compares throws.
Divergence measure_divergence(Backend& backend, std::span<const Model> models, const RunSpec& spec,
                              RunObserver& observer, const EncodedInputs& inputs,
                              double sigma_data = kSigmaData);

// How far one step carries a distance d at its beginning into the final latent, per s, the deviation of the
// data (sigma_data; Karras et al. 2022, arXiv 2206.00364, call it so):
//
//   w = asinh(sigma / s) - asinh(sigma' / s),
//
// sigma and sigma' the noise before and behind the step in units of the signal (sigma / alpha). In
// coordinates x / alpha a step adds |d sigma| d, and what is added at sigma shrinks by s / sqrt(s^2 +
// sigma^2) until sigma = 0, exactly so for Gaussian data: the integral of the two over the step. From noise
// alone on, where d is of x0, it is 1 / sqrt(s^2 + sigma'^2). Errors of different steps are taken to point
// the same way, so that the final latent moves by s times the sum of w d. Data that fall into kinds do not
// forget as Gaussian ones do: what tips a picture from one kind into another early grows instead.
double step_weight(const Step& step, double sigma_data);

// Puts measured weights in place of those: lets the form that is farthest off while it is whole serve a
// single step, of twelve or fewer that lie evenly apart, and the last model all others, and takes from how
// far the final latents move what a step's d comes to; steps between have the factor to the weight above that
// lies between. Thirteen runs at most. False when the observer cancelled. Throws Error{usage} where all forms
// are the last model while they are whole.
bool measure_weights(Backend& backend, std::span<const Model> models, const RunSpec& spec,
                     RunObserver& observer, const EncodedInputs& inputs, double sigma_data,
                     Divergence& divergence);

// Throws that before anything is loaded, where it is known: all models are the last one's network, asked
// alike but for cached blocks.
void check_weights_tell(std::span<const ModelInfo> models, const RunSpec& spec);

// w times the mean d of the evaluations of a step that the form begins at that age.
double step_divergence(const Divergence& divergence, size_t form, int step, int64_t age);

// The same of a form alone, from its first step to its last.
double whole_divergence(const Divergence& divergence, size_t form);

}  // namespace tstitch
