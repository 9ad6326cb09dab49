#pragma once

#include <optional>
#include <string>

#include "tstitch/io/int8_tensor.h"
#include "tstitch/io/tensor_file.h"
#include "tstitch/nn/weights.h"

namespace tstitch {

// The weights of a file under the names that it gives them. `file` must outlive them.
class FileWeights final : public WeightSource {
 public:
  explicit FileWeights(const TensorFile& file) : file_(&file) {}

  std::optional<Shape> shape(const std::string& name) const override {
    const auto found = file_->tensors().find(name);
    if (found == file_->tensors().end() || found->second.shape.size() > Shape::kMaxRank) return std::nullopt;
    return Shape(found->second.shape);
  }

  Tensor load(const std::string& name, const Shape& expected, DType dtype) const override {
    return file_->load(name, expected, dtype);
  }
  Int8Weight load_int8(const std::string& name, const Shape& expected, const Tensor& sizes) const override {
    auto kept = tstitch::load_int8(*file_, name, expected);
    return kept ? *std::move(kept) : WeightSource::load_int8(name, expected, sizes);
  }

 private:
  const TensorFile* file_;
};

}  // namespace tstitch
