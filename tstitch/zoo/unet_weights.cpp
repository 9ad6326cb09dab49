#include "tstitch/zoo/unet_weights.h"

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

std::string stored_name(const std::string& name) {
  constexpr std::string_view kModel = "model.";
  std::string bare = name.substr(name.starts_with(kModel) ? kModel.size() : 0);
  std::erase(bare, '.');
  return "model_ema." + bare;
}

}  // namespace

std::optional<Shape> AverageWeights::shape(const std::string& name) const {
  return file_.shape(stored_name(name));
}

Tensor AverageWeights::load(const std::string& name, const Shape& expected, DType dtype) const {
  return file_.load(stored_name(name), expected, dtype);
}

Int8Weight AverageWeights::load_int8(const std::string& name, const Shape& expected,
                                     const Tensor& sizes) const {
  return file_.load_int8(stored_name(name), expected, sizes);
}

std::vector<std::string> AverageWeights::stored_names(const std::string& name) const {
  return {stored_name(name)};
}

UNetWeights::UNetWeights(const TensorFile& file, const std::string& prefix, WeightChoice choice)
    : file_(file), average_(file_), keys_(source(prefix, choice), prefix) {}

const WeightSource& UNetWeights::source(const std::string& prefix, WeightChoice choice) const {
  const bool averaged = UNetKeys::recognises(average_, prefix);
  check(averaged || choice != WeightChoice::ema || prefix.empty(), ErrorKind::input,
        "the checkpoint holds no running average (EMA) of the U-Net");
  if (averaged && choice != WeightChoice::model) return average_;
  return file_;
}

}  // namespace tstitch
