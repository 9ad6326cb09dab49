#pragma once

#include <cstdint>
#include <vector>

#include "tstitch/tensor/tensor.h"

namespace tstitch {

// The score of Salimans et al. 2016 (arXiv 1606.03498), exp(E KL(p(y|x) || p(y))): of every `split`
// consecutive images, then the mean. The evaluator of ADM takes 5000 of them, the last split as it comes, and
// Inception's logits without bias.
class InceptionScore {
 public:
  static constexpr int64_t kSplit = 5000;
  explicit InceptionScore(int64_t split = kSplit) : split_(split) {}

  void add(const Tensor& logits);  // (n, classes) f32, of the next n images
  double value() const;            // throws Error{input} before the first image

 private:
  double split_score() const;

  int64_t split_;
  int64_t in_split_ = 0;               // images of the current one
  std::vector<double> probabilities_;  // their sum
  double negative_entropies_ = 0;      // their sum
  double scores_ = 0;                  // sum over the splits that are whole
  int64_t splits_ = 0;
};

}  // namespace tstitch
