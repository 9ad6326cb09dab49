#pragma once

#include <cstdint>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch {

inline constexpr int64_t kNeighbours = 3;  // k in the paper, and in ADM's evaluator

// Improved precision and recall (Kynkäänniemi et al. 2019, arXiv 1904.06991): around every image of a set
// lies a ball that reaches to its k-th nearest neighbour in the set; precision is the share of the samples
// inside a ball of the reference, recall the share of the reference inside a ball of the samples. On the
// sphere is inside.
struct PrecisionRecall {
  int64_t precise = 0, samples = 0;      // samples inside, of
  int64_t recalled = 0, references = 0;  // reference images inside, of

  double precision() const { return static_cast<double>(precise) / static_cast<double>(samples); }
  double recall() const { return static_cast<double>(recalled) / static_cast<double>(references); }
};

// Features of the reference (N, D) and of the samples (M, D), f32. backend: computes in f32.
//
// The distances are squared Euclidean, sums in f64 of exact differences. A matrix product in f32 with a bound
// of its error says which pairs may matter, and only those are measured: the counts are those of measuring
// all, at the speed of the product. The evaluator of ADM has its distances from products in f16. Memory
// beside the features: a copy of both and 16 MB.
//
// Throws Error{input} when a set has no more than k images or a feature is not finite.
PrecisionRecall precision_recall(Backend& backend, const Tensor& reference, const Tensor& samples,
                                 int64_t k = kNeighbours);

// The squared distance of each row of x (N, D) to its k-th nearest other row.
std::vector<double> neighbour_distances(Backend& backend, const Tensor& x, int64_t k);

}  // namespace tstitch
