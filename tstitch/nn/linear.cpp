#include "tstitch/nn/linear.h"

namespace tstitch {

Linear::Linear(const Weights& weights, int64_t inputs, int64_t outputs)
    : backend_(&weights.backend()), packed_([&] {
        const Shape shape = {outputs, inputs};
        const Tensor b = weights.load("bias", {outputs});
        return weights.int8()
                   ? backend_->pack_int8_linear(weights.load_int8("weight", shape), b)
                   : backend_->pack_linear(weights.load("weight", shape, backend_->compute_dtype()), b);
      }()) {}

Linear::Linear(Backend& backend, const Tensor& w, const Tensor& b)
    : backend_(&backend), packed_(backend.pack_linear(w, b)) {}

Linear::Linear(Backend& backend, const Int8Weight& w, const Tensor& b)
    : backend_(&backend), packed_(backend.pack_int8_linear(w, b)) {}

Linear::Linear(const Weights& weights, std::initializer_list<const char*> names, int64_t inputs,
               int64_t outputs)
    : backend_(&weights.backend()), packed_([&] {
        const Shape shape = {outputs, inputs};
        std::vector<Tensor> parts;
        std::vector<Int8Weight> int8_parts;
        for (const char* name : names)
          if (weights.int8())
            int8_parts.push_back((weights / name).load_int8("weight", shape));
          else
            parts.push_back((weights / name).load("weight", shape, backend_->compute_dtype()));
        return weights.int8() ? backend_->pack_int8_linear(stacked(int8_parts), {})
                              : backend_->pack_linear(stacked(parts), {});
      }()) {}

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
