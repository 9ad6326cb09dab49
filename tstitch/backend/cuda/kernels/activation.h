#pragma once

#include <cmath>

#include "tstitch/backend/backend.h"
#include "tstitch/backend/cuda/block.h"

namespace tstitch::cuda {

// As Activation says; NaN stays NaN.
TSTITCH_DEVICE float activate(Activation act, float x) {
  switch (act) {
    case Activation::none:
      return x;
    case Activation::gelu_tanh:
      return 0.5f * x * (1 + std::tanh(0.797884561f * (x + 0.044715f * x * x * x)));
    case Activation::gelu:
      return 0.5f * x * (1 + std::erf(x * 0.707106781f));
    case Activation::quick_gelu:
      return x / (1 + std::exp(-1.702f * x));
    case Activation::silu:
      return x / (1 + std::exp(-x));
    case Activation::relu:
      return x < 0 ? 0 : x;
  }
  return x;
}

}  // namespace tstitch::cuda
