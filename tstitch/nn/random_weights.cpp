#include "tstitch/nn/random_weights.h"

#include <algorithm>
#include <cmath>

#include "tstitch/base/hash.h"
#include "tstitch/base/philox.h"

namespace tstitch {
namespace {

// Keeps the activations of a network of these weights near unit variance.
double scale_of(const std::string& name, const Shape& shape) {
  if (name.ends_with(".bias") || name.ends_with(".running_mean")) return 0.05;
  if (name.ends_with(".bn.weight") || name.ends_with(".running_var")) return 0.5;
  if (name == "y_embedder.embedding_table.weight") return 0.5;
  const double gain = name.find("adaLN_modulation") != std::string::npos ? 0.5 : 1.0;
  return gain * std::sqrt(3.0 / static_cast<double>(shape.elements() / shape[0]));
}

// Around what: sqrt(2) makes up for the half that a ReLU takes.
float center_of(const std::string& name) {
  if (name.ends_with(".bn.weight")) return 1.4f;
  return name.ends_with(".running_var") ? 1.f : 0.f;
}

}  // namespace

Tensor random_uniform(const std::string& name, const Shape& shape, double scale, uint64_t seed) {
  const uint64_t key = fnv1a(name.data(), name.size()) ^ seed;
  Tensor tensor(shape, DType::f32);
  float* values = tensor.data<float>();
  const int64_t count = tensor.elements();
  for (int64_t i = 0; i < count; i += 4) {
    const auto block = static_cast<uint64_t>(i / 4);
    const PhiloxBlock words =
        philox({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), 0, 0}, key);
    for (int64_t j = i; j < std::min(i + 4, count); ++j)
      values[j] = static_cast<float>(((words[j - i] >> 8) * 0x1p-23 - 1.0) * scale);
  }
  return tensor;
}

std::optional<Shape> RandomWeights::shape(const std::string&) const { return std::nullopt; }

Tensor RandomWeights::load(const std::string& name, const Shape& expected, DType dtype) const {
  Tensor values = random_uniform(tag_ + "/" + name, expected, scale_of(name, expected), seed_);
  if (const float center = center_of(name); center != 0)
    for (int64_t i = 0; i < values.elements(); ++i) values.data<float>()[i] += center;
  if (dtype == DType::f32) return values;
  Tensor rounded(expected, DType::bf16);
  std::transform(values.data<float>(), values.data<float>() + values.elements(), rounded.data<bfloat16>(),
                 to_bfloat16);
  return rounded;
}

}  // namespace tstitch
