#include "tstitch/diffusion/pndm.h"

#include "tstitch/diffusion/transfer.h"
#include "tstitch/ops/ops.h"

namespace tstitch {

Tensor Pndm::eps_of(const Tensor& mean, const Tensor& x, const NoiseLevel& level) const {
  return averages_v_ ? combine(backend_, {{level.alpha, &mean}, {level.sigma, &x}}) : mean;
}

Tensor Pndm::step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn) {
  const auto& [t, alpha, sigma] = step.level;
  const Prediction at = denoise(x, step.level);
  const Tensor e = averages_v_ ? combine(backend_, {{alpha, &at.eps}, {-sigma, &at.x0}}) : at.eps;

  if (step.level == step.next) {  // a level repeated: Heun's second half, if there was a first
    if (history_.size() != 1) return x;
    const Tensor slope = combine(backend_, {{0.5, &e}, {0.5, &history_[0]}});
    return transfer(backend_, start_, eps_of(slope, start_, start_level_), start_level_, step.next);
  }

  const auto& h = history_;
  Tensor mean;
  switch (h.size()) {
    case 0:
      mean = e;
      start_ = x;
      start_level_ = step.level;
      break;
    case 1:
      mean = combine(backend_, {{3.0 / 2, &e}, {-1.0 / 2, &h[0]}});
      start_ = {};
      break;
    case 2:
      mean = combine(backend_, {{23.0 / 12, &e}, {-16.0 / 12, &h[0]}, {5.0 / 12, &h[1]}});
      break;
    default:
      mean =
          combine(backend_, {{55.0 / 24, &e}, {-59.0 / 24, &h[0]}, {37.0 / 24, &h[1]}, {-9.0 / 24, &h[2]}});
      history_.pop_back();
  }
  history_.push_front(e);
  return transfer(backend_, x, eps_of(mean, x, step.level), step.level, step.next);
}

void Pndm::reset() {
  history_.clear();
  start_ = {};
}

}  // namespace tstitch
