#pragma once

#include <string>

#include "tstitch/io/checkpoint.h"
#include "tstitch/models/unet_keys.h"
#include "tstitch/zoo/file_weights.h"

namespace tstitch {

// The tensors of the original code's running average beside those of the network: without the dots in their
// names.
class AverageWeights final : public WeightSource {
 public:
  // `file` must outlive this.
  explicit AverageWeights(const FileWeights& file) : file_(file) {}

  std::optional<Shape> shape(const std::string& name) const override;
  Tensor load(const std::string& name, const Shape& expected, DType dtype) const override;
  Int8Weight load_int8(const std::string& name, const Shape& expected, const Tensor& sizes) const override;
  std::vector<std::string> stored_names(const std::string& name) const override;

 private:
  const FileWeights& file_;
};

// The tensors of a file's U-Net under diffusers' names.
class UNetWeights final : public WeightSource {
 public:
  // prefix: of their names in the file, which must outlive this. choice: ema takes the running average, which
  // is also what automatic takes where there is one; Error{input} where there is none.
  UNetWeights(const TensorFile& file, const std::string& prefix, WeightChoice choice);

  std::optional<Shape> shape(const std::string& name) const override { return keys_.shape(name); }
  Tensor load(const std::string& name, const Shape& expected, DType dtype) const override {
    return keys_.load(name, expected, dtype);
  }
  Int8Weight load_int8(const std::string& name, const Shape& expected, const Tensor& sizes) const override {
    return keys_.load_int8(name, expected, sizes);
  }
  std::vector<std::string> stored_names(const std::string& name) const override {
    return keys_.stored_names(name);
  }

 private:
  const WeightSource& source(const std::string& prefix, WeightChoice choice) const;

  FileWeights file_;
  AverageWeights average_;
  UNetKeys keys_;
};

}  // namespace tstitch
