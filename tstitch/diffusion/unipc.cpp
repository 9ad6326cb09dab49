#include "tstitch/diffusion/unipc.h"

#include <cmath>

#include "tstitch/ops/ops.h"

namespace tstitch {

Tensor UniPc::step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn) {
  const Evaluation now = {.level = step.level, .x0 = denoise(x, step.level).x0};
  x_ = m0_ ? correct(now) : x;
  if (options_.order > 1) m1_ = m0_;
  m0_ = now;
  return predict(x_, step);
}

// Equation 3 of the paper in x0 form (appendix E.3): with h = lambda' - lambda, B = e^-h - 1 and the slope
// D1 = (x0_1 - x0) / r1 through the step before, r1 = (lambda_1 - lambda) / h < 0,
//   x' = (sigma' / sigma) x - alpha' B (x0 + D1 / 2)
Tensor UniPc::predict(const Tensor& x, const Step& step) const {
  const NoiseLevel& next = step.next;
  const double lambda = half_log_snr(m0_->level);
  const double h = half_log_snr(next) - lambda;
  const double scale = next.sigma / m0_->level.sigma;
  const double B = next.alpha * std::expm1(-h);
  if (!m1_ || next.sigma == 0 || options_.order_of(step) == 1)
    return combine(backend_, {{scale, &x}, {-B, &m0_->x0}});
  const double r1 = (half_log_snr(m1_->level) - lambda) / h;
  return combine(backend_, {{scale, &x}, {-B * (1 - 1 / (2 * r1)), &m0_->x0}, {-B / (2 * r1), &m1_->x0}});
}

// The step to now.level once more, with the slope through the evaluation there as well:
//   x' = (sigma' / sigma) x - alpha' B (x0 + rho1 D1 + rho2 (x0' - x0))
// rho solve rho1 + rho2 = b1, r1 rho1 + rho2 = b2, which makes the step exact for x0 quadratic in lambda.
Tensor UniPc::correct(const Evaluation& now) const {
  const double lambda = half_log_snr(m0_->level);
  const double h = half_log_snr(now.level) - lambda;
  const double scale = now.level.sigma / m0_->level.sigma;
  const double B = std::expm1(-h);
  const double alpha_B = now.level.alpha * B;
  if (!m1_) return combine(backend_, {{scale, &x_}, {-alpha_B / 2, &m0_->x0}, {-alpha_B / 2, &now.x0}});

  const double phi2 = -B / h - 1;  // B / (-h) - 1
  const double phi3 = -phi2 / h - 0.5;
  const double b1 = phi2 / B, b2 = 2 * phi3 / B;
  const double r1 = (half_log_snr(m1_->level) - lambda) / h;
  const double rho1 = (b1 - b2) / (1 - r1), rho2 = b1 - rho1;
  return combine(backend_, {{scale, &x_},
                            {-alpha_B * (1 - rho1 / r1 - rho2), &m0_->x0},
                            {-alpha_B * rho1 / r1, &m1_->x0},
                            {-alpha_B * rho2, &now.x0}});
}

void UniPc::reset() {
  m0_.reset();
  m1_.reset();
  x_ = {};
}

}  // namespace tstitch
