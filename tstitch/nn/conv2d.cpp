#include "tstitch/nn/conv2d.h"

namespace tstitch {

namespace {

std::unique_ptr<PackedConv2d> packed(const Weights& weights, const Shape& shape, bool bias,
                                     const Tensor& sizes) {
  Backend& backend = weights.backend();
  const Tensor b = bias ? weights.load("bias", {shape[0]}) : Tensor();
  return weights.int8() ? backend.pack_int8_conv2d(weights.load_int8("weight", shape, sizes), b)
                        : backend.pack_conv2d(weights.load("weight", shape, backend.compute_dtype()), b);
}

}  // namespace

Conv2d::Conv2d(const Weights& weights, int64_t inputs, int64_t outputs, int64_t kernel, bool bias)
    : backend_(&weights.backend()), packed_(packed(weights, {outputs, inputs, kernel, kernel}, bias, {})) {}

Conv2d::Conv2d(const Weights& weights, int64_t inputs, int64_t outputs, int64_t kernel, const GroupNorm& norm,
               Activation act)
    : backend_(&weights.backend()),
      packed_(packed(weights, {outputs, inputs, kernel, kernel}, true,
                     weights.int8() ? norm.sizes(act) : Tensor())) {}

Conv2d::Conv2d(Backend& backend, const Tensor& w, const Tensor& b)
    : backend_(&backend), packed_(backend.pack_conv2d(w, b)) {}

Conv2d::Conv2d(Backend& backend, const Int8Weight& w, const Tensor& b)
    : backend_(&backend), packed_(backend.pack_int8_conv2d(w, b)) {}

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
