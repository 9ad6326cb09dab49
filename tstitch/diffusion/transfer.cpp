#include "tstitch/diffusion/transfer.h"

#include "tstitch/ops/ops.h"

namespace tstitch {

Tensor transfer(Backend& backend, const Tensor& x, const Tensor& eps, const NoiseLevel& from,
                const NoiseLevel& to) {
  const double scale = to.alpha / from.alpha;
  return combine(backend, {{scale, &x}, {to.sigma - from.sigma * scale, &eps}});
}

}  // namespace tstitch
