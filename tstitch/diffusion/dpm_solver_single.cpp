#include "tstitch/diffusion/dpm_solver_single.h"

#include <algorithm>
#include <cmath>

#include "tstitch/ops/ops.h"

namespace tstitch {

Tensor DpmSolverSingle::step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn) {
  const Tensor x0 = denoise(x, step.level).x0;
  evaluations_ = order_of(step);
  if (evaluations_ == 1) {
    level_ = step.level;
    x_ = x;
    x0_ = x0;
  }

  const double lambda = half_log_snr(level_);
  const double h = half_log_snr(step.next) - lambda;
  const double scale = step.next.sigma / level_.sigma;
  const double B = step.next.alpha * std::expm1(-h);
  if (evaluations_ == 1) return combine(backend_, {{scale, &x_}, {-B, &x0_}});

  const double r = (half_log_snr(step.level) - lambda) / h;
  const double w = (evaluations_ == 2 ? -B / 2 : B / h + step.next.alpha) / r;
  return combine(backend_, {{scale, &x_}, {-B - w, &x0_}, {w, &x0}});
}

int DpmSolverSingle::order_of(const Step& step) const {
  if (step.next.sigma == 0) return 1;
  const int turn = (options_.left_out + step.index) % options_.order + 1;
  return std::min({turn, options_.order_of(step), evaluations_ + 1});
}

void DpmSolverSingle::reset() {
  evaluations_ = 0;
  x_ = x0_ = {};
}

}  // namespace tstitch
