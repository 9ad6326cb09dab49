#include "tstitch/diffusion/adams_bashforth.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "tstitch/backend/backend.h"

namespace tstitch {
namespace {

// The integrals of v^n ds, n = 0 .. count - 1, over the step from s to s'; v is 0 at its start.

// v = s - s_0.
std::vector<double> moments_in_ratio(double s, double s_next, size_t count) {
  const double d = s_next - s;
  std::vector<double> moments;
  for (size_t n = 0; n < count; ++n)
    moments.push_back(std::pow(d, static_cast<double>(n + 1)) / static_cast<double>(n + 1));
  return moments;
}

// v = log(s / s_0), so that ds = s_0 e^v dv; by parts.
std::vector<double> moments_in_log_ratio(double s, double s_next, size_t count) {
  const double v = std::log(s_next / s);
  std::vector<double> moments = {s * std::expm1(v)};
  for (size_t n = 1; n < count; ++n)
    moments.push_back(s_next * std::pow(v, static_cast<double>(n)) - static_cast<double>(n) * moments.back());
  return moments;
}

// The integral of the polynomial that is 1 at node k and 0 at the others.
double integral_of_basis(std::span<const double> nodes, size_t k, std::span<const double> moments) {
  std::vector<double> coefficients = {1};  // of v^0, v^1, ...
  for (size_t j = 0; j < nodes.size(); ++j) {
    if (j == k) continue;
    const double scale = 1 / (nodes[k] - nodes[j]);
    coefficients.push_back(0);
    for (size_t n = coefficients.size() - 1; n > 0; --n)
      coefficients[n] = scale * (coefficients[n - 1] - nodes[j] * coefficients[n]);
    coefficients[0] *= -scale * nodes[j];
  }
  double sum = 0;
  for (size_t n = 0; n < nodes.size(); ++n) sum += coefficients[n] * moments[n];
  return sum;
}

}  // namespace

Tensor AdamsBashforth::step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn) {
  const Prediction at = denoise(x, step.level);
  history_.push_front({.level = step.level, .eps = at.eps});
  if (std::ssize(history_) > options_.order) history_.pop_back();

  // x / alpha = x0 + s eps: only what is left of s is multiplied with, for it may be in the thousands.
  std::vector<double> w = weights(step);
  w[0] += ratio_of(step.level);
  std::vector<Term> terms = {{step.next.alpha, &at.x0}};
  for (size_t k = 0; k < w.size(); ++k) terms.push_back({step.next.alpha * w[k], &history_[k].eps});
  return backend_.combine(terms, 0);
}

std::vector<double> AdamsBashforth::weights(const Step& step) const {
  const double s = ratio_of(step.level), s_next = ratio_of(step.next);
  const bool in_log = u_ == In::log_ratio;
  const int order = in_log && s_next == 0 ? 1 : options_.order_of(step);
  const size_t count = std::min(history_.size(), static_cast<size_t>(order));

  std::vector<double> nodes;
  for (size_t k = 0; k < count; ++k) {
    const double s_k = ratio_of(history_[k].level);
    nodes.push_back(in_log ? std::log(s_k / s) : s_k - s);
  }
  const std::vector<double> moments =
      in_log ? moments_in_log_ratio(s, s_next, count) : moments_in_ratio(s, s_next, count);
  std::vector<double> w;
  for (size_t k = 0; k < count; ++k) w.push_back(integral_of_basis(nodes, k, moments));
  return w;
}

}  // namespace tstitch
