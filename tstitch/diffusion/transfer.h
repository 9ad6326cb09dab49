#pragma once

#include "tstitch/backend/backend.h"
#include "tstitch/diffusion/noise_schedule.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch {

// Moves x, (N, H, W, C) f32, from one level to another along the probability flow, as if eps were the same on
// the way (DDIM, eq. 13; Liu et al. 2022, arXiv 2202.09778, eq. 9, call it the transfer part):
//   x' = (alpha' / alpha) x + (sigma' - sigma alpha' / alpha) eps
// In the coordinates of Karras et al. 2022, x / alpha and s = sigma / alpha, where the flow is dx = eps ds,
// this is Euler's step. Needs alpha > 0.
Tensor transfer(Backend& backend, const Tensor& x, const Tensor& eps, const NoiseLevel& from,
                const NoiseLevel& to);

}  // namespace tstitch
