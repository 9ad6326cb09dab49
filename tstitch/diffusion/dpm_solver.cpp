#include "tstitch/diffusion/dpm_solver.h"

#include <algorithm>
#include <cmath>

#include "tstitch/ops/ops.h"

namespace tstitch {

Tensor DpmSolverMultistep::mean_x0(const Evaluation& now, double h, int order) const {
  if (order == 1) return now.x0;
  const double H = stochastic_ ? 2 * h : h;
  const double gain = -std::expm1(-H);
  const double slope = order == 2 && !options_.heun ? 0.5 : 1 / gain - 1 / H;

  const Evaluation& last = history_[0];
  const double r1 = (now.lambda - last.lambda) / h;
  if (order == 2) return combine(backend_, {{1 + slope / r1, &now.x0}, {-slope / r1, &last.x0}});

  const Evaluation& before = history_[1];
  const double r2 = (last.lambda - before.lambda) / h;
  const double curvature = ((gain - H) / (H * H) + (stochastic_ ? -0.5 : 0.5)) / gain;
  const double bend = (slope * r1 + curvature) / (r1 + r2);  // weight of d1 - d2
  const double w1 = (slope + bend) / r1, w2 = bend / r2;
  return combine(backend_, {{1 + w1, &now.x0}, {-w1 - w2, &last.x0}, {w2, &before.x0}});
}

Tensor DpmSolverMultistep::step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) {
  const auto [t_next, alpha_next, sigma_next] = step.next;
  const Evaluation now = {.lambda = half_log_snr(step.level), .x0 = denoise(x, step.level).x0};
  const double h = half_log_snr(step.next) - now.lambda;
  const double scale = sigma_next / step.level.sigma;

  const int known = static_cast<int>(history_.size()) + 1;
  const bool straight = sigma_next == 0 || h == 0;
  const Tensor D = mean_x0(now, h, straight ? 1 : std::min(options_.order_of(step), known));
  history_.push_front(now);
  if (history_.size() > 2) history_.pop_back();

  if (!stochastic_) return combine(backend_, {{scale, &x}, {-alpha_next * std::expm1(-h), &D}});
  const double fresh_share = -std::expm1(-2 * h);  // of sigma'^2
  if (sigma_next == 0) return combine(backend_, {{alpha_next, &D}});
  const Tensor fresh = noise();
  return combine(backend_, {{scale * std::exp(-h), &x},
                            {alpha_next * fresh_share, &D},
                            {sigma_next * std::sqrt(fresh_share), &fresh}});
}

}  // namespace tstitch
