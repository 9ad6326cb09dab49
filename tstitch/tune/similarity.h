// How alike models behave along one trajectory: where they hardly differ the smallest serves as well, which
// is what stitching rests on (Pan et al. 2024, arXiv 2402.14167, section 3).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/engine/run.h"
#include "tstitch/engine/run_spec.h"
#include "tstitch/zoo/model.h"

namespace tstitch {

struct Statistic {
  double mean, deviation;  // over images; the deviation of a sample (n - 1), 0 of a single image
};

// Between tensors a and b of image after image.
class Similarity {
 public:
  // (N, ...) f32 on the host, contiguous, one row of the outermost dimension per image. Throws Error{input}
  // when they are not finite.
  void add(const Tensor& a, const Tensor& b);

  int64_t images() const { return static_cast<int64_t>(cosines_.size()); }
  Statistic cosine()
      const;           // <a, b> / (|a| |b|), -1 ... 1; a zero is like another zero, and like nothing else
  double mse() const;  // |a - b|^2 per element, over all images
  double relative_mse() const;  // |a - b|^2 / |b|^2, both summed over all images; infinite where only b is 0

 private:
  std::vector<double> cosines_;
  double squares_ = 0, reference_ = 0;  // sums of |a - b|^2 and |b|^2
  int64_t elements_ = 0;
};

struct StepSimilarity {
  int step;          // steps taken so far, 0 ... N
  NoiseLevel level;  // of x there
  Statistic cosine;
  double mse, relative_mse;
  double x0_mse = 0;  // of predictions: |a - b|^2 per element of x0, while the others are of eps
};

// Of two models, first < second: a is the first one's, b the second one's.
struct PairSimilarity {
  int first, second;
  std::vector<StepSimilarity> steps;
};

// The spec with all its steps served by one model, or each by the one of that number.
RunSpec served_by(const RunSpec& spec, int model);
RunSpec served_by(const RunSpec& spec, const std::vector<int>& assignment);

// Predictions are compared once a step, and cached blocks count every evaluation: throws Error{usage} where a
// model has cache= and the sampler asks more often. alone: the spec served by each of the models.
void check_asks_once(std::span<const RunSpec> alone, std::span<const ModelInfo> models);

// Runs the spec and asks every model for eps, guidance included, at each x it comes by; the steps are 0 ...
// N-1. Every model needs its network, whether it serves a step or not; two models or more. Every pair, or
// nothing when the observer cancelled.
std::vector<PairSimilarity> prediction_similarity(Backend& backend, std::span<const Model> models,
                                                  const RunSpec& spec, RunObserver& observer,
                                                  const EncodedInputs& inputs);

// Each model takes all steps of the spec by itself, from the same noise; compared are the latents after 0 ...
// N steps. Otherwise the same.
std::vector<PairSimilarity> latent_similarity(Backend& backend, std::span<const Model> models,
                                              const RunSpec& spec, RunObserver& observer,
                                              const EncodedInputs& inputs);

}  // namespace tstitch
