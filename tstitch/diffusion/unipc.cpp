#include "tstitch/diffusion/unipc.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

// rho with sum_j rho_j r_j^i = b_i for i = 0 ... n - 1: a Vandermonde system (Bjorck & Pereyra 1970).
std::vector<double> solve_moments(const std::vector<double>& r, std::vector<double> b) {
  const size_t n = r.size();
  for (size_t k = 0; k + 1 < n; ++k)
    for (size_t i = n - 1; i > k; --i) b[i] -= r[k] * b[i - 1];
  for (size_t k = n - 1; k-- > 0;) {
    for (size_t i = k + 1; i < n; ++i) b[i] /= r[i] - r[i - k - 1];
    for (size_t i = k; i + 1 < n; ++i) b[i] -= b[i + 1];
  }
  return b;
}

}  // namespace

Tensor UniPc::step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn) {
  const Tensor x0 = denoise(x, step.level).x0;
  x_ = !history_.empty() && corrected_ ? advance(step.level, order_, &x0) : x;
  history_.push_front({.level = step.level, .x0 = x0});
  if (std::ssize(history_) > options_.order) history_.pop_back();
  const bool straight = step.next.sigma == 0 || half_log_snr(step.next) == half_log_snr(step.level);
  order_ = straight ? 1 : std::min(options_.order_of(step), static_cast<int>(history_.size()));
  corrected_ = !std::ranges::count(options_.uncorrected, step.index);
  return advance(step.next, order_, nullptr);
}

// Equation 3 of the paper in x0 form (appendix E.3): with h = lambda' - lambda, B = e^-h - 1 ("bh2") or -h
// ("bh1"), and the slopes D_j = (x0_j - x0) / r_j through the evaluations before, r_j = (lambda_j - lambda) /
// h < 0, and, when correcting, the one at the end of the step, r = 1,
//   x' = (sigma' / sigma) x - alpha' (e^-h - 1) x0 - alpha' B sum_j rho_j D_j
// The rho make the step exact for x0 of as high a degree in lambda as there are slopes: sum_j rho_j r_j^(i-1)
// = i! g_i / B for i = 1, 2, ..., with g_1 = -(e^-h - 1) / h - 1 and g_(i+1) = -g_i / h - 1 / (i + 1)!; a
// single slope has rho = 1/2.
Tensor UniPc::advance(const NoiseLevel& to, int order, const Tensor* x0_there) const {
  const Evaluation& now = history_[0];
  const double lambda = half_log_snr(now.level);
  const double h = half_log_snr(to) - lambda;
  const double grown = std::expm1(-h), B = options_.bh1 ? -h : grown;

  std::vector<double> r;
  std::vector<const Tensor*> x0;
  for (int j = 1; j < order; ++j) {
    const Evaluation& before = history_[static_cast<size_t>(j)];
    r.push_back((half_log_snr(before.level) - lambda) / h);
    x0.push_back(&before.x0);
  }
  if (x0_there) {
    r.push_back(1);
    x0.push_back(x0_there);
  }
  std::vector<double> rho = {0.5};
  if (r.size() > 1) {
    rho.clear();
    double g = -grown / h - 1, factorial = 1;
    for (size_t i = 1; i <= r.size(); ++i) {
      rho.push_back(g * factorial / B);
      factorial *= static_cast<double>(i + 1);
      g = -g / h - 1 / factorial;
    }
    rho = solve_moments(r, std::move(rho));
  }

  double own = -to.alpha * grown;  // weight of now.x0
  std::vector<Term> terms = {{to.sigma / now.level.sigma, &x_}, {own, &now.x0}};
  for (size_t j = 0; j < r.size(); ++j) {
    const double weight = -to.alpha * B * rho[j] / r[j];
    own -= weight;
    terms.push_back({weight, x0[j]});
  }
  terms[1].factor = own;
  return backend_.combine(terms, 0);
}

void UniPc::reset() {
  history_.clear();
  x_ = {};
}

}  // namespace tstitch
