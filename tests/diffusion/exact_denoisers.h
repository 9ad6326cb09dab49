// Denoisers that are known in closed form, so that solvers can be tested against mathematics, without
// weights.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "tstitch/backend/reference/reference_backend.h"
#include "tstitch/diffusion/denoiser.h"

namespace tstitch::testing {

inline ReferenceBackend& backend() {
  static ReferenceBackend reference(DType::f32);
  return reference;
}

// f(0), f(1), ... in that shape, row-major.
template <class F>
Tensor tensor_of(const Shape& shape, const F& f) {
  Tensor x(shape, DType::f32);
  for (int64_t i = 0; i < x.elements(); ++i) x.data<float>()[i] = static_cast<float>(f(i));
  return x;
}

// The elements in row-major order.
inline std::vector<float> values_of(const Tensor& x) {
  const Tensor host = backend().download(x);
  return {host.data<float>(), host.data<float>() + host.elements()};
}

// Something between -2 and 2 that repeats nowhere soon; name tells streams apart.
inline double scramble(int64_t i, double name) {
  return 2 * std::sin(12.9898 * static_cast<double>(i) + 78.233 * name);
}

// Every element of x0 is N(mean, deviation^2), independent of the others. Then x at a level is
// N(alpha mean, alpha^2 deviation^2 + sigma^2), and E[x0 | x] is linear in x.
class GaussianDenoiser final : public Denoiser {
 public:
  GaussianDenoiser(double mean, double deviation) : mean_(mean), deviation_(deviation) {}

  Prediction predict(const Tensor& x, const NoiseLevel& level) const override {
    const double gain = level.alpha * deviation_ * deviation_ / variance_at(level);
    Prediction at;
    at.x0 = tensor_of(x.shape(),
                      [&](int64_t i) { return mean_ + gain * (x.data<float>()[i] - level.alpha * mean_); });
    at.eps = tensor_of(x.shape(), [&](int64_t i) {
      const double x_i = x.data<float>()[i];
      return (x_i - level.alpha * (mean_ + gain * (x_i - level.alpha * mean_))) / level.sigma;
    });
    return at;
  }

  double variance_at(const NoiseLevel& level) const {
    return level.alpha * level.alpha * deviation_ * deviation_ + level.sigma * level.sigma;
  }
  // Var[x0 | x].
  double posterior_variance(const NoiseLevel& level) const {
    return deviation_ * deviation_ * level.sigma * level.sigma / variance_at(level);
  }

 private:
  double mean_, deviation_;
};

// x0 is one of finitely many latents, all as likely: E[x0 | x] is their mean weighted by exp(-|x - alpha p|^2
// / 2 sigma^2) (the "ideal denoiser" of smalldiffusion; Karras et al. 2022, eq. 57).
class FiniteSetDenoiser final : public Denoiser {
 public:
  explicit FiniteSetDenoiser(std::vector<std::vector<float>> points) : points_(std::move(points)) {}

  Prediction predict(const Tensor& x, const NoiseLevel& level) const override {
    const int64_t size = x.elements() / x.extent(0);
    Prediction at{Tensor(x.shape(), DType::f32), Tensor(x.shape(), DType::f32), {}};
    for (int64_t n = 0; n < x.extent(0); ++n) {
      const float* x_n = x.data<float>() + n * size;
      std::vector<double> weights;
      for (const auto& point : points_) {
        double squares = 0;
        for (int64_t i = 0; i < size; ++i) squares += std::pow(x_n[i] - level.alpha * point[i], 2);
        weights.push_back(-squares / (2 * level.sigma * level.sigma));
      }
      const double largest = *std::ranges::max_element(weights);
      for (double& weight : weights) weight = std::exp(weight - largest);
      const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
      for (int64_t i = 0; i < size; ++i) {
        double x0 = 0;
        for (size_t p = 0; p < points_.size(); ++p) x0 += weights[p] / sum * points_[p][i];
        at.x0.data<float>()[n * size + i] = static_cast<float>(x0);
        at.eps.data<float>()[n * size + i] = static_cast<float>((x_n[i] - level.alpha * x0) / level.sigma);
      }
    }
    return at;
  }

 private:
  std::vector<std::vector<float>> points_;
};

// Another denoiser, with a count of its calls and a record of what it was told beforehand.
class CountingDenoiser final : public Denoiser {
 public:
  explicit CountingDenoiser(const Denoiser& base) : base_(base) {}

  Prediction predict(const Tensor& x, const NoiseLevel& level) const override {
    asked.push_back(level);
    return base_.predict(x, level);
  }
  void prepare(std::span<const NoiseLevel> levels) override { prepared.assign(levels.begin(), levels.end()); }

  mutable std::vector<NoiseLevel> asked;
  std::vector<NoiseLevel> prepared;

 private:
  const Denoiser& base_;
};

}  // namespace tstitch::testing
