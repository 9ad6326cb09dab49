// Named weights, as a checkpoint holds them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/base/error.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch {

// Where weights come from: a file, or a random stream.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  // The shape stored under `name`, or nothing when there is no such tensor.
  virtual std::optional<Shape> shape(const std::string& name) const = 0;
  // A contiguous host copy as `dtype` (f32 or bf16). Throws Error{input} naming the tensor when it is
  // missing or its shape is not `expected`.
  virtual Tensor load(const std::string& name, const Shape& expected, DType dtype) const = 0;
  // The same in 8 bits, as it is kept or quantised here. sizes: about how large each input becomes, (K) or
  // (C) f32 (smoothing_factors), or empty.
  virtual Int8Weight load_int8(const std::string& name, const Shape& expected, const Tensor& sizes) const {
    const Tensor w = load(name, expected, DType::f32);
    return quantize(w, sizes ? smoothing_factors(w, sizes) : Tensor());
  }
  // The tensors of a file that it is read from, one below the other.
  virtual std::vector<std::string> stored_names(const std::string& name) const { return {name}; }
};

// The matrix `name`, (M, K), which older checkpoints keep as a 1 x 1 convolution, (M, K, 1, 1); any other
// shape as WeightSource::load.
inline Tensor load_matrix(const WeightSource& source, const std::string& name, const Shape& expected,
                          DType dtype) {
  const auto found = source.shape(name);
  if (expected.rank() == 2 && found && *found == Shape({expected[0], expected[1], 1, 1}))
    return source.load(name, *found, dtype).reshape(expected);
  return source.load(name, expected, dtype);
}

inline Int8Weight load_int8_matrix(const WeightSource& source, const std::string& name, const Shape& expected,
                                   const Tensor& sizes) {
  const auto found = source.shape(name);
  if (expected.rank() != 2 || !found || *found != Shape({expected[0], expected[1], 1, 1}))
    return source.load_int8(name, expected, sizes);
  Int8Weight weight = source.load_int8(name, *found, sizes);
  weight.values = weight.values.reshape(expected);
  return weight;
}

// The extent `i` of the tensor `name`, which must have `rank` dimensions. Throws Error{input} where it has
// others, and where there is none: then the source is "not KIND".
inline int64_t extent_of(const WeightSource& source, const char* kind, const std::string& name, int rank,
                         int i) {
  const auto shape = source.shape(name);
  check(shape.has_value(), ErrorKind::input, "not ", kind, ": it has no tensor \"", name, "\"");
  check(shape->rank() == rank, ErrorKind::input, "tensor \"", name, "\" has the shape ", *shape,
        ", expected ", rank, " dimensions");
  return (*shape)[i];
}

// The weights under a prefix, and the backend they are for: `weights / "blocks.3" / "attn"` names
// "blocks.3.attn.". Layers ask it for their tensors in their constructors, so that what is missing or
// misshapen is reported with its full name.
class Weights {
 public:
  Weights(Backend& backend, const WeightSource& source) : backend_(&backend), source_(&source) {}

  Weights operator/(const std::string& name) const {
    Weights inner = *this;
    inner.prefix_ += name + ".";
    return inner;
  }

  // The maps that make up a network's body are asked for so: of 8-bit numbers on a backend that wants them.
  // What is not said to be of the body keeps the compute type: embeddings, modulations, first and last
  // layers, whose work is little and whose error is not. whole(): that again, within the body.
  Weights body() const {
    Weights inner = *this;
    inner.int8_ = backend_->int8();
    return inner;
  }
  Weights whole() const {
    Weights inner = *this;
    inner.int8_ = false;
    return inner;
  }
  bool int8() const { return int8_; }

  Backend& backend() const { return *backend_; }
  std::string name(const std::string& tensor) const { return prefix_ + tensor; }
  std::optional<Shape> shape(const std::string& name) const { return source_->shape(prefix_ + name); }
  Tensor load(const std::string& name, const Shape& expected, DType dtype = DType::f32) const {
    return source_->load(prefix_ + name, expected, dtype);
  }
  Int8Weight load_int8(const std::string& name, const Shape& expected, const Tensor& sizes = {}) const {
    return source_->load_int8(prefix_ + name, expected, sizes);
  }

 private:
  Backend* backend_;
  const WeightSource* source_;
  std::string prefix_;
  bool int8_ = false;
};

}  // namespace tstitch
