// Weights that need no file: every tensor is a Philox stream named after it, the same numbers in Python
// (tools/common/random_weights.py). For goldens at published sizes, and for benchmarks.
#pragma once

#include "tstitch/nn/weights.h"

namespace tstitch {

// Uniform numbers in [-scale, scale): element i is word i % 4 of Philox block i / 4 under the key
// fnv1a(name) ^ seed, u, as float((double(u >> 8) 2^-23 - 1) scale). Returns f32 of the shape.
Tensor random_uniform(const std::string& name, const Shape& shape, double scale, uint64_t seed);

class RandomWeights final : public WeightSource {
 public:
  // `tag` separates models of one seed: the stream of a tensor is "tag/name".
  RandomWeights(std::string tag, uint64_t seed) : tag_(std::move(tag)), seed_(seed) {}

  std::optional<Shape> shape(const std::string& name) const override;  // nothing: any shape is served
  Tensor load(const std::string& name, const Shape& expected, DType dtype) const override;

 private:
  std::string tag_;
  uint64_t seed_;
};

}  // namespace tstitch
