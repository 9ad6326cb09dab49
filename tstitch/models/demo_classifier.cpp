#include "tstitch/models/demo_classifier.h"

#include <algorithm>

#include "tstitch/base/error.h"
#include "tstitch/ops/ops.h"

namespace tstitch {

int64_t DemoClassifierConfig::side_after(int64_t layer) const {
  int64_t side = input_size;
  for (int64_t i = 0; i <= layer; ++i) side = (side + 1) / 2;
  return side;
}

DemoClassifier::DemoClassifier(const DemoClassifierConfig& config, const Weights& weights)
    : backend_(weights.backend()),
      config_(config),
      hidden_(
          weights / "hidden",
          [&] {
            const int64_t side = config.side_after(std::ssize(config.widths) - 1);
            return side * side * config.widths.back();
          }(),
          config.features),
      fc_(weights / "fc", config.features, config.num_classes) {
  int64_t inputs = config.in_channels;
  for (size_t i = 0; i < config.widths.size(); ++i) {
    convolutions_.emplace_back(weights / "conv" / std::to_string(i), inputs, config.widths[i],
                               config.kernels[i]);
    inputs = config.widths[i];
  }
}

int64_t DemoClassifier::spatial_features() const {
  const int64_t side = config_.side_after(config_.spatial_layer);
  return side * side * config_.spatial_channels;
}

PictureFeatures DemoClassifier::operator()(const Tensor& pictures) const {
  const int64_t N = pictures.extent(0), side = config_.input_size;
  check(pictures.shape() == Shape({N, side, side, config_.in_channels}), ErrorKind::usage,
        "pictures of the shape ", pictures.shape(), ", expected (N, ", side, ", ", side, ", ",
        config_.in_channels, ")");
  Tensor host(pictures.shape(), DType::f32);  // in [-1, 1]
  std::transform(pictures.data<uint8_t>(), pictures.data<uint8_t>() + pictures.elements(), host.data<float>(),
                 [](uint8_t value) { return static_cast<float>(value) / 127.5f - 1; });

  PictureFeatures at;
  Tensor x = backend_.upload(host);
  for (size_t i = 0; i < convolutions_.size(); ++i) {
    const int64_t pad = config_.kernels[i] / 2;
    x = convolutions_[i](x, {.stride = 2, .pad_before = pad, .pad_after = pad}, Activation::relu, DType::f32);
    if (static_cast<int64_t>(i) != config_.spatial_layer) continue;
    const Tensor whole = backend_.download(x);  // (N, h, w, C)
    const int64_t kept = config_.spatial_channels, C = whole.columns();
    at.spatial = Tensor({N, spatial_features()}, DType::f32);
    for (int64_t row = 0; row < whole.rows(); ++row)
      std::copy_n(whole.data<float>() + row * C, kept, at.spatial.data<float>() + row * kept);
  }
  const Tensor pooled = hidden_(x.reshape({N, x.elements() / N}), Activation::relu, DType::f32);
  at.pooled = backend_.download(pooled);
  at.logits = backend_.download(fc_(pooled, Activation::none, DType::f32));
  return at;
}

}  // namespace tstitch
