// The DiT as diffusers stores it (DiTTransformer2DModel, and Transformer2DModel of older files): the same
// network under other names, with q, k and v apart and the embedders of t and class repeated in every block.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "tstitch/io/tensor_file.h"
#include "tstitch/models/dit.h"
#include "tstitch/nn/weights.h"

namespace tstitch {

bool is_diffusers_dit(const TensorFile& file);

// The fields of transformer/config.json. diffusers' own evaluation departs from the published network in two
// places, the frequencies of the timestep embedding (divided by 127 instead of 128) and the epsilon of the
// second norm (1e-5 instead of 1e-6); the weights were trained without, so the published network is what we
// build. Throws Error{input} with the key for values that are no DiT's.
DiTConfig read_diffusers_dit_config(const nlohmann::json& object, const std::string& where);

// The file's weights under the official names.
class DiffusersDiTWeights final : public WeightSource {
 public:
  explicit DiffusersDiTWeights(const TensorFile& file) : file_(&file) {}

  std::optional<Shape> shape(const std::string& name) const override;
  // Throws Error{input} also when the blocks' copies of an embedder differ: only one can be used.
  Tensor load(const std::string& name, const Shape& expected, DType dtype) const override;
  Int8Weight load_int8(const std::string& name, const Shape& expected, const Tensor& sizes) const override;
  std::vector<std::string> stored_names(const std::string& name) const override;

 private:
  Shape third_of(const Shape& expected, const std::string& name) const;

  const TensorFile* file_;
};

}  // namespace tstitch
