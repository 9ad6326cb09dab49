#include "tstitch/eval/inception_score.h"

#include <algorithm>
#include <cmath>

#include "tstitch/base/error.h"

namespace tstitch {

void InceptionScore::add(const Tensor& logits) {
  const int64_t classes = logits.columns();
  if (probabilities_.empty()) probabilities_.resize(static_cast<size_t>(classes));
  check_internal(static_cast<size_t>(classes) == probabilities_.size(), "logits of ", classes,
                 " classes after ", probabilities_.size());
  for (int64_t row = 0; row < logits.rows(); ++row) {
    const float* x = logits.data<float>() + row * logits.row_stride();
    const double largest = *std::max_element(x, x + classes);
    double sum = 0, weighted = 0;  // of exp(x - largest), and of x - largest weighed by it
    for (int64_t c = 0; c < classes; ++c) {
      const double e = std::exp(x[c] - largest);
      sum += e;
      weighted += e * (x[c] - largest);
    }
    for (int64_t c = 0; c < classes; ++c)
      probabilities_[static_cast<size_t>(c)] += std::exp(x[c] - largest) / sum;
    negative_entropies_ += weighted / sum - std::log(sum);
    if (++in_split_ < split_) continue;
    scores_ += split_score();
    ++splits_;
    in_split_ = 0;
    negative_entropies_ = 0;
    std::ranges::fill(probabilities_, 0.);
  }
}

// The mean divergence is the mean of sum p log p without that of the mean p.
double InceptionScore::split_score() const {
  const auto n = static_cast<double>(in_split_);
  double divergence = negative_entropies_ / n;
  for (const double sum : probabilities_)
    if (sum > 0) divergence -= sum / n * std::log(sum / n);
  return std::exp(divergence);
}

double InceptionScore::value() const {
  check(splits_ || in_split_, ErrorKind::input, "the Inception Score of no images");
  return in_split_ ? (scores_ + split_score()) / static_cast<double>(splits_ + 1)
                   : scores_ / static_cast<double>(splits_);
}

}  // namespace tstitch
