#include <algorithm>
#include <cmath>
#include <utility>

#include "tstitch/backend/backend.h"
#include "tstitch/base/error.h"

namespace tstitch {
namespace {

// Falls up to `dip`, where it is `least`, and rises from there on.
struct Dip {
  double at, least;
};

template <class F>
Bounds of_one_dip(Bounds x, Dip dip, const F& act) {
  const double a = act(double{x.low}), b = act(double{x.high});
  const double low = x.low < dip.at && dip.at < x.high ? dip.least : std::min(a, b);
  return {static_cast<float>(low), static_cast<float>(std::max(a, b))};
}

}  // namespace

Bounds activation_bounds(Activation act, Bounds x) {
  switch (act) {
    case Activation::none:
      return x;
    case Activation::relu:
      return {std::max(x.low, 0.f), std::max(x.high, 0.f)};
    case Activation::silu:
      return of_one_dip(x, {-1.2784645, -0.2784645}, [](double y) { return y / (1 + std::exp(-y)); });
    case Activation::gelu_tanh:
      return of_one_dip(x, {-0.7524614, -0.1700408}, [](double y) {
        return 0.5 * y * (1 + std::tanh(0.7978845608028654 * (y + 0.044715 * y * y * y)));
      });
    default:
      fail(ErrorKind::internal, "internal error: bounds of activation ", static_cast<int>(act));
  }
}

Uint8Range picture_range(std::span<const float> low, std::span<const float> high, const float* norm,
                         Activation act, const float* factors) {
  const size_t C = low.size();
  float least = 0, largest = 0;
  for (size_t c = 0; c < C; ++c) {
    Bounds x = {low[c], high[c]};
    if (norm) {
      x = {x.low * norm[c] + norm[C + c], x.high * norm[c] + norm[C + c]};
      if (x.high < x.low) std::swap(x.low, x.high);
    }
    x = activation_bounds(act, x);
    const float factor = factors ? factors[c] : 1;
    if (x.low != x.low || x.high != x.high) return range_of(x.low, x.high);  // NaN
    least = std::min(least, x.low * factor);
    largest = std::max(largest, x.high * factor);
  }
  return range_of(least, largest);
}

std::unique_ptr<PackedLinear> Backend::pack_int8_linear(const Int8Weight&, const Tensor&) {
  fail(ErrorKind::internal, "internal error: ", description(), " has no products of 8-bit numbers");
}

std::unique_ptr<PackedConv2d> Backend::pack_int8_conv2d(const Int8Weight&, const Tensor&) {
  fail(ErrorKind::internal, "internal error: ", description(), " has no products of 8-bit numbers");
}

}  // namespace tstitch
