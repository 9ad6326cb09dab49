#include "tstitch/diffusion/beta_quantile.h"

#include <cmath>

namespace tstitch {
namespace {

constexpr double kShape = 0.6;  // a = b

// The integral of u^(a-1) (1-u)^(a-1) from 0 to x <= 1/2: x^a times the sum over n of (1-a)_n / n! x^n / (a +
// n), whose terms fall at least by half.
double incomplete_beta(double x) {
  double sum = 0, term = 1;
  for (int n = 0; n < 60; ++n) {
    sum += term / (kShape + n);
    term *= (n + 1 - kShape) / (n + 1) * x;
  }
  return std::pow(x, kShape) * sum;
}

}  // namespace

double beta_quantile(double p) {
  if (p > 0.5) return 1 - beta_quantile(1 - p);  // the distribution is symmetric
  static const double half = incomplete_beta(0.5);
  double low = 0, high = 0.5;
  for (int i = 0; i < 64; ++i) {
    const double middle = (low + high) / 2;
    (incomplete_beta(middle) < 2 * half * p ? low : high) = middle;
  }
  return high;
}

}  // namespace tstitch
