#include "tstitch/nn/linear.h"

namespace tstitch {

Linear::Linear(const Weights& weights, int64_t inputs, int64_t outputs)
    : Linear(weights.backend(), weights.load("weight", {outputs, inputs}, weights.backend().compute_dtype()),
             weights.load("bias", {outputs})) {}

Linear::Linear(Backend& backend, const Tensor& w, const Tensor& b)
    : backend_(&backend), packed_(backend.pack_linear(w, b)) {}

Tensor Linear::operator()(const Tensor& x, Activation act) const {
  return (*this)(x, act, backend_->compute_dtype());
}

Tensor Linear::operator()(const Tensor& x, Activation act, DType out) const {
  return linear(*backend_, x, *packed_, act, out);
}

void Linear::add_gated_to(Tensor& residual, const Tensor& gate, const Tensor& x) const {
  add_gated_linear(*backend_, residual, gate, x, *packed_);
}

void Linear::add_to(Tensor& sum, const Tensor& x) const { add_linear(*backend_, sum, x, *packed_); }

}  // namespace tstitch
