#include "tstitch/nn/conv2d.h"

namespace tstitch {

Conv2d::Conv2d(const Weights& weights, int64_t inputs, int64_t outputs, int64_t kernel, bool bias)
    : Conv2d(weights.backend(),
             weights.load("weight", {outputs, inputs, kernel, kernel}, weights.backend().compute_dtype()),
             bias ? weights.load("bias", {outputs}) : Tensor()) {}

Conv2d::Conv2d(Backend& backend, const Tensor& w, const Tensor& b)
    : backend_(&backend), packed_(backend.pack_conv2d(w, b)) {}

Tensor Conv2d::operator()(const Tensor& x, const Conv2dPath& path, Activation act) const {
  return (*this)(x, path, act, backend_->compute_dtype());
}

Tensor Conv2d::operator()(const Tensor& x, const Conv2dPath& path, Activation act, DType out) const {
  return conv2d(*backend_, x, *packed_, path, act, out);
}

void Conv2d::into(Tensor& out, const Tensor& x, const Conv2dPath& path, Activation act) const {
  conv2d_into(*backend_, out, x, *packed_, path, act);
}

void Conv2d::add_to(Tensor& sum, const Tensor& x, const Conv2dPath& path, Activation act) const {
  add_conv2d(*backend_, sum, x, *packed_, path, act);
}

}  // namespace tstitch
