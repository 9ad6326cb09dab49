// Fréchet distance between the Gaussians of two sets of features: FID of Heusel et al. 2017 (arXiv
// 1706.08500), on other features sFID (Nash et al. 2021, arXiv 2103.03841).
#pragma once

#include <cstdint>
#include <vector>

#include "tstitch/tensor/tensor.h"

namespace tstitch {

// Mean (D) and unbiased covariance (D, D), as np.mean and np.cov give them.
struct GaussianStatistics {
  std::vector<double> mean, covariance;

  int64_t width() const { return static_cast<int64_t>(mean.size()); }
};

// Mean and covariance of a stream of vectors, in f64 and in memory that does not depend on their number.
class Moments {
 public:
  explicit Moments(int64_t width);

  void add(const Tensor& rows);  // (n, D) f32
  // The vectors of the other stream too: each block about its own mean, then the blocks together (Chan, Golub
  // & LeVeque 1979).
  void merge(const Moments& other);

  int64_t count() const { return count_; }
  int64_t width() const { return static_cast<int64_t>(mean_.size()); }
  // Throws Error{input} for fewer than two vectors, which have no covariance.
  GaussianStatistics statistics() const;

 private:
  void merge(int64_t count, const double* mean, const double* scatter);

  int64_t count_ = 0;
  std::vector<double> mean_, scatter_;  // scatter: sum of (x - mean) (x - mean)^T, lower triangle
};

// |mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)). Covariances may be singular, as those of fewer vectors
// than dimensions are. Throws Error{internal} unless both have the same width.
//
// With A = L L^T, A B and L^T B L have the same eigenvalues: the trace is the sum of the roots of those of a
// symmetric matrix, and no root of a matrix is taken. The evaluator of ADM takes it with scipy.linalg.sqrtm
// and drops its imaginary part; what that adds is rounding.
double frechet_distance(const GaussianStatistics& a, const GaussianStatistics& b);

}  // namespace tstitch
